"""The loop, the recipes that run it, and what is found out before it runs.

One idea: the loop knows phases and nothing else; all that can be switched on is a callback. Rejected: a trainer with
one argument per feature, and a loop copied into every recipe.
"""
