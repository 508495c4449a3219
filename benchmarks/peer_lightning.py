"""Lightning's side of the benchmarks: a training on folders of photographs as its documentation shows it.

python benchmarks/peer_lightning.py FOLDER MODEL SIZE BATCH EPOCHS WORKERS; prints RESULT, accuracy, seconds
"""

import logging
import sys
import tempfile
import time
import warnings

import lightning
import timm
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Net(lightning.LightningModule):
    def __init__(self, model, steps):
        super().__init__()
        self.model, self.steps = timm.create_model(model, num_classes=2), steps

    def training_step(self, batch, _):
        images, targets = batch
        loss = functional.cross_entropy(self.model(images), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        images, targets = batch
        logits = self.model(images)
        self.log("valid_loss", functional.cross_entropy(logits, targets))
        self.log("accuracy", (logits.argmax(1) == targets).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def loaders(folder, size, batch_size, workers):
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor(),
             transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]  # fmt: skip
    options = {"batch_size": batch_size, "num_workers": workers, "persistent_workers": workers > 0}
    split = [datasets.ImageFolder(f"{folder}/{name}", transforms.Compose(steps)) for name in ("train", "valid")]
    return DataLoader(split[0], shuffle=True, **options), DataLoader(split[1], **options)


def main(folder, model, size, batch_size, epochs, workers):
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(0, verbose=False)
    train, valid = loaders(folder, int(size), int(batch_size), int(workers))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = lightning.Trainer(
            max_epochs=int(epochs), accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=scratch, log_every_n_steps=5)  # fmt: skip
        started = time.perf_counter()
        trainer.fit(Net(model, int(epochs) * len(train)), train, valid)
        print("RESULT", float(trainer.callback_metrics["accuracy"]), time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
