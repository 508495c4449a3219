"""What a training leaves on disk, so that every later command needs nothing but the directory.

One idea: a run is the unit. Nobody types the path of a checkpoint; `predict`, `eval` and `resume` take a run. Every
file is complete or absent: it is written under a temporary name in the same directory, flushed to the disk, and put
in place by one rename.

- `files`: the atomic write and the JSON that stands on it
- `directory`: `Run` and the names of its files; `find`: where a run goes and is found again; `status`: how far it is
- `environment`: what a run ran on; `overview`: many runs at a glance; `cleaning`: which may be deleted
- `checkpoint`: `last`, `best` and those before them; `pair`: one of them, safetensors beside its JSON, each proving the
  other by checksums; `nested`: any state as JSON and tensors; `background`: writing while training goes on
- `lock`: one writer; `lineage`: what a run that goes on, or that is the fork of another, needs to know

Rejected: pickle (runs code when opened), numbered names such as train2 (say nothing about when or what), a database
of runs (a second truth beside the files), appending to metrics files (a kill leaves half a line, a resumed run
leaves rows twice).
"""
