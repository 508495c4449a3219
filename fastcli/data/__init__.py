"""From a source (a name, URL, archive, folder or CSV) to labelled, split batches on the device.

One idea: data flows through small functions of plain values, source -> items -> labels -> split -> decoded pixels ->
batches, and each of them can be replaced by name. All that decides which image is where (listing, labels, split) is
deterministic: sorted, seeded and written down. Pixels are decoded once and kept in the nearest memory that fits.

Rejected: worker processes by default (they cost start-up and memory, threads decode as fast), pandas for reading a CSV,
`tarfile.extractall` for archives of strangers, and a global random state.
"""
