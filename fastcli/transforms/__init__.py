"""What happens to pixels between a file and the model.

Why: a picture must become a tensor of the model's size, look a little different every epoch in training, and
carry its mask, points and boxes along. One idea: *draw on the CPU, compose as matrices, resample once*. An item
transform is split into what is done once and may be kept (`prepare`) and what differs from view to view
(`finish`). Batch transforms draw one row of numbers per sample; the geometric ones become one 3x3 matrix per
sample and one `grid_sample` to the final size, the lighting ones one line in logit space (with a colour matrix if
saturation is among them), and normalisation goes into the same pass; hue and erasing, which need the pixels
themselves, come before and after it.

`image` and `masks` open files, by `reading`; `transform` has the contracts; `spatial` the kernels for one element;
`item` and `placement` the item transforms, `jpeg` and `foreign` (torchvision's by name) more of them; `geometry`,
`lighting`, `pixels` and `normalize` the parts of `batch`, where they meet; `warp` the resampling; `elements` how each
type leaves; `boxes` and `matrices` the arithmetic of places; `mix` that of two batches made into one, for the
callbacks.

Rejected: torchvision v2 for batches (one draw for the whole batch, one interpolation per transform); kornia (its
wrappers cost more than the work on small batches); fastai's three interpolations for presizing, its linear solve
per image for warping and its device synchronisations; a random generator inside transforms (a resumed run would
differ).
"""
