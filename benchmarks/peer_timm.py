"""A training on folders of photographs in the style of timm's train.py, with torch's DataLoader and torchvision.

python benchmarks/peer_timm.py FOLDER MODEL SIZE BATCH EPOCHS WORKERS; prints RESULT, accuracy and seconds of epochs
"""

import sys
import time

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.utils import AverageMeter
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def loaders(folder, size, batch_size, workers):
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor(),
             transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]  # fmt: skip
    options = {"batch_size": batch_size, "num_workers": workers, "persistent_workers": workers > 0}
    split = [datasets.ImageFolder(f"{folder}/{name}", transforms.Compose(steps)) for name in ("train", "valid")]
    return DataLoader(split[0], shuffle=True, **options), DataLoader(split[1], **options)


def train_one_epoch(model, loader, optimizer, schedule, loss_fn):
    losses = AverageMeter()
    model.train()
    for images, targets in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(images), targets)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.update(loss.item(), len(images))
    return losses.avg


def validate(model, loader):
    accuracy = AverageMeter()
    model.eval()
    with torch.no_grad():
        for images, targets in loader:
            accuracy.update((model(images).argmax(1) == targets).float().mean().item(), len(images))
    return accuracy.avg


def main(folder, model_name, size, batch_size, epochs, workers):
    torch.manual_seed(0)
    train, valid = loaders(folder, int(size), int(batch_size), int(workers))
    model = timm.create_model(model_name, num_classes=2)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=int(epochs) * len(train))
    started, accuracy = time.perf_counter(), 0.0
    for _ in range(int(epochs)):
        train_one_epoch(model, train, optimizer, schedule, nn.CrossEntropyLoss())
        accuracy = validate(model, valid)
    print("RESULT", accuracy, time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
