"""What takes part in the loop without being the loop: one theme per file, each a `Callback` of a few events.

One idea: two-way callbacks. A callback may read and write anything on the learner and may cancel a phase, so the
loop itself knows nothing of schedules, precision, recording, saving, stopping or showing. `order` says who hears an
event first: what changes the batch or the schedule comes before what records (-50 and above), then what stops and
saves, and what shows comes last (90).

- `progress`: the live bar and the rows of the epochs; `table` and `screen` are what it draws with

Rejected: hooks with a fixed list of arguments (each new need changes every signature), a trainer with a hundred
options, callbacks that know each other.
"""
