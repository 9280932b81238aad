"""Optimizers, and schedulers of their learning rates."""

from __future__ import annotations

from numtorch.optim import lr_scheduler, swa_utils
from numtorch.optim._adafactor import Adafactor
from numtorch.optim._muon import Muon
from numtorch.optim.adadelta import Adadelta
from numtorch.optim.adagrad import Adagrad
from numtorch.optim.adam import Adam
from numtorch.optim.adamax import Adamax
from numtorch.optim.adamw import AdamW
from numtorch.optim.asgd import ASGD
from numtorch.optim.lbfgs import LBFGS
from numtorch.optim.nadam import NAdam
from numtorch.optim.optimizer import Optimizer
from numtorch.optim.radam import RAdam
from numtorch.optim.rmsprop import RMSprop
from numtorch.optim.rprop import Rprop
from numtorch.optim.sgd import SGD

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "lr_scheduler",
    "swa_utils",
]
