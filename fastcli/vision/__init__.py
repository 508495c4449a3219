"""The facade for users of fastai: its names for what lives elsewhere.

One idea: imports and no logic, so that the short names stay out of the library itself.
"""
