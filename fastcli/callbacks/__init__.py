"""What takes part in the loop without being the loop: one theme per file, each a `Callback` of a few events.

One idea: two-way callbacks. A callback may read and write anything on the learner and may cancel a phase, so the
loop itself knows nothing of schedules, precision, recording, saving, stopping or showing. `order` says who hears an
event first, and `orders` where one event is heard at another place: -100 the timer, -50 the recorder, -40 and -30 the
learning rate, -20 to -10 what changes batch, loss and gradients, 0 a user's own, 10 clipping, 20 averaging, 30 to 80
what watches, stops and saves, 90 what shows. A loss is recorded (100) when all have had their say.

- `timing`, `record`: how long it takes, and what came of it; every learner has these two
- `schedule`, `plateau`: hyperparameters by how much is done, and by how much it helps
- `mix`, `smoothing`, `epochs`: other batches, targets and sizes; `shapes`: the same one for every batch
- `precision`, `gradients`, `ema`, `modes`: how a step is taken, and in which mode a module is
- `monitor`: what improves; `stop`, `checkpoint`, `save`: what ends a training and what it leaves
- `activations`: what goes through the layers
- `progress`: the live bar and the rows of the epochs; `table` and `screen` are what it draws with

Rejected: hooks with a fixed list of arguments (each new need changes every signature), a trainer with a hundred
options, callbacks that know each other.
"""
