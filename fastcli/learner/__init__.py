"""The loop, the recipes that run it, what is found out before it runs, and what can be asked and kept of it after.

One idea: the loop knows phases and nothing else; all that can be switched on is a callback. Rejected: a trainer with
one argument per feature, a loop copied into every recipe or into prediction, and pickled learners.
"""
