"""Functions of one number: exponentials, trigonometry, rounding."""

import numpy as np
from scipy import special

from . import EVERY, Op, unary

OPS = [
    Op("exp", unary(-3, 3), np.exp, EVERY, promotes=True),
    Op("sigmoid", unary(-3, 3), special.expit, promotes=True),
]
