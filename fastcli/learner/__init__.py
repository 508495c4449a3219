"""The loop, the recipes that run it, what is found out before it runs, and what can be asked and kept of it after.

One idea: the loop knows phases and nothing else; all that can be switched on is a callback, and whoever asks for
predictions hears a validation (`Learner.pass_over`).

- `learner`, `phases`: the loop; `state`, `extend`: how it is put down, taken up again and prolonged
- `recipes` and `auto`: how it is run; `features`: a frozen body run once
- `lr_find`, `probe`, `compiling`, `graph`: which rate, which precision and layout, and whether steps are compiled or
  launched as one; `memory`: what was measured before; `settings`: all of that; `allocator`: how memory is kept;
  `limit`: how fast it could be; `outputs`: whether the model says what the target needs
- `inference`, `answers`, `gather`, `opened`: predictions, and what outputs say
- `saving`, `exported`: a learner's weights in a file, or all that predicting needs

Rejected: a trainer with one argument per feature, a loop copied into every recipe or into prediction, and pickled
learners.
"""
