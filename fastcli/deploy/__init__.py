"""Using what was trained, from its run directory alone.

One idea: a run directory holds all that a model needs (resolved configuration, classes, tensors), so nothing here asks
for data or code of the training. `predictor` answers for files; `places` lays points and masks back on their pictures.
`evaluate` asks about labelled sets, which must be there too. `diagnosis` says what a machine offers to it, and asks
torch in another process (`torch_facts`).
Rejected: pickled learners, which break with the next version of anything.
"""
