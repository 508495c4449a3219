"""What a training leaves on disk, so that every later command needs nothing but the directory.

One idea: a run is the unit. Nobody types the path of a checkpoint; `predict`, `eval` and `resume` take a run. Every
file is complete or absent: it is written under a temporary name in the same directory, flushed to the disk, and put
in place by one rename.

- `files`: the atomic write and the JSON that stands on it
- `directory`: `Run`, its names, and how a run is found again
- `environment`: what a run ran on
- `checkpoint`: tensors in safetensors beside their JSON, each pair proving itself by checksums

Rejected: pickle (runs code when opened), numbered names such as train2 (say nothing about when or what), a database
of runs (a second truth beside the files), appending to metrics files (a kill leaves half a line, a resumed run
leaves rows twice).
"""
