"""What a person looks at after, and sometimes before, a training: pictures and the model's card.

One idea: every figure is made by one function from plain numbers and a path, with matplotlib's object interface and
no state shared between figures, so that it works in any thread, in a notebook and without a display.

- `style`: the one look of all figures: type, colours, axes, labels in any script
- `history` and `plots`: losses and metrics, learning rate and momentum, the learning-rate search; `numbers` reckons
- `interpret`: where a model is wrong, by `confusion` (the matrix), `classes` (the figures of each), `worst` (pictures)
- `evaluation`: all that is said of a set, its numbers from `measures` and `plain_loss`, written by `evaluation_files`;
  to look at, by `evaluation_page` (with `evaluation_groups`, `evaluation_pictures`, `grad_cam` and `thumbnails`)
- `compare` and `compare_page`: the curves of several runs, as a picture and as a page
- `batch`: what a model will see; `card`: the README of a run; `training`: which of these a training leaves

Pictures of samples are drawn by `fastcli.show`, which the data loaders use too.

Rejected: pyplot (global figures, a window system), legends where a label beside the line says the same, seaborn or
plotly (large, for what ten lines do), red against green (one man in twelve does not see it).
"""
