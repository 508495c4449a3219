"""Models: what turns a batch of pictures into logits.

One idea: a model for fine-tuning is a body that gives features and a head that classifies them, so that either can be
frozen, cached, replaced or given its own learning rate. Names become models in `create`. Bodies are timm's, by their
timm names (`body`); heads are fastai's or timm's own (`head`, joined to a body in `finetune`), or fastai's decoder for
masks (`unet`); weights come from the hub's cache or the hub (`hub`) or a file, and what of them was used is told
(`pretrained`); `layers` holds the few layers that neither torch nor timm has; `freezing` says which groups of a model
train; `hooks` and `summary` look into models; `published` is what timm's authors measured.

Rejected: cutting bodies at a child index per architecture as fastai does (timm says itself what its features are),
and a model zoo of our own.
"""
