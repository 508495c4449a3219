"""fastcli trains image models from a YAML file; the library under it carries fastai's ideas on today's PyTorch."""

__version__ = "0.1.0"
