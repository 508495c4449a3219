"""fastai's names for notebooks: `from fastcli.vision.all import *`."""

# ruff: noqa: F401, F403, N812 - what is imported here is there to be imported by others
import itertools
import json
import math
import os
import random
import re
import shutil
import sys
import time
from collections import Counter, defaultdict
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastcore.basics import *
from fastcore.foundation import *
from fastcore.imports import *
from fastcore.parallel import parallel
from fastcore.xtras import *
from PIL import Image
from torch import Tensor, nn, optim

from fastcli.models.head import mlp_head
from fastcli.models.hooks import Hook, Hooks, hook_output, hook_outputs, model_sizes
from fastcli.models.summary import model_summary
from fastcli.show import plot_function
from fastcli.vision.architectures import *
from fastcli.vision.augment import *
from fastcli.vision.blocks import *
from fastcli.vision.callbacks import *
from fastcli.vision.core import *
from fastcli.vision.data import *
from fastcli.vision.files import *
from fastcli.vision.getting import *
from fastcli.vision.image_loaders import *
from fastcli.vision.interpret import *
from fastcli.vision.layers import *
from fastcli.vision.learner import *
from fastcli.vision.listening import *
from fastcli.vision.loaders import *
from fastcli.vision.losses import *
from fastcli.vision.measures import *
from fastcli.vision.metrics import *
from fastcli.vision.models import *
from fastcli.vision.optimizers import *
from fastcli.vision.pictures import *
from fastcli.vision.rates import *
from fastcli.vision.stepping import *
from fastcli.vision.style import *
from fastcli.vision.transforms import *
