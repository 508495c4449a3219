"""From a source (a name, URL, archive, folder or CSV) to labelled, split batches on the device.

One idea: data flows through small functions of plain values, source -> items -> labels -> split -> decoded pixels ->
batches, and each of them can be replaced by name. All that decides which image is where (listing, labels, split) is
deterministic: sorted, seeded and written down. Pixels are decoded once and kept in the nearest memory that fits.

- `download`, `catalog`, `fetch`, `archive`, `safe_folder`, `tar`, `locks`: a source becomes files on this machine
- `pictures`: many single pictures, downloaded, looked through, or made smaller; `threads`: the same for many files
- `items`, `labellers`, `splitters`, `shares`, `split_file`: which picture is what, and where it takes part
- `blocks`, `encoders`, `spatial_encoders`, `values`: what a part of a sample is, how it is made and what outputs mean
- `datablock`, `datasets`, `summary`: all of that in one recipe, its labelled samples, and a walk through it
- `store`, `memory`: pixels decoded once; `sources`, `elements`: each part of all samples, collated in its own way
- `plan`, `seeding`: which items make which batch; `loader`, `loaders`, `tensors`: batches as the loop sees them;
  `side_stream`: beside the step that a GPU is busy with

Rejected: worker processes by default (they cost start-up and memory, threads decode as fast), pandas for reading a CSV,
`tarfile.extractall` for archives of strangers, and a global random state.
"""
