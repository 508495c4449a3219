"""From the text of a YAML file to a checked `Config`, without torch, and with every mistake named by its line.

One idea: the shipped `schema.json`, generated from the models here and from the signatures of all components, is the
single description of what may be written. Editors complete from it, the checker walks file and schema side by side,
and defaults are filled in from it. Start reading at `load.load`; `models` says what a configuration holds,
`explain` what a key means, `differences` in what two differ.

Rejected: OmegaConf and Hydra (untyped interpolation, import paths in YAML); pydantic's own messages for unions (they
list every branch instead of the one that was meant); a second list of options beside the signatures.
"""
