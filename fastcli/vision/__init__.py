"""The facade for users of fastai: its names for what lives elsewhere.

One idea: `all` only imports, and each of the adapters here turns fastai's names and arguments into the library's, so
that the short names stay out of the library itself. What a name does differently on purpose is in its docstring.

- `core`, `files`, `getting`, `pictures`: finding, splitting, labelling and opening files, and small helpers
- `blocks`, `data`, `loaders`, `image_loaders`: data blocks, datasets and loaders
- `augment`, `transforms`: transforms by name, and those of one's own with `encodes`
- `learner`, `listening`, `asking`, `names`: the learner, by what one does with it
- `models`, `architectures`, `layers`: learners on a body, names of bodies, parts for models of one's own
- `callbacks`, `style`, `recorder`: callbacks by name, those of one's own, and what was recorded
- `optimizers`, `stepping`, `rates`: optimizers by name, those of one's own, and suggested learning rates
- `losses`, `metrics`, `measures`, `interpret`: losses, metrics by name, those of one's own, and interpretation

Rejected: a copy of fastai's class tree (its dispatch by annotation and attribute look-through are its slowest and most
fragile parts), and patching methods onto Pillow, pandas or torch.
"""
