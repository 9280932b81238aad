"""Functions of torch.special that have no row elsewhere."""

from scipy import special

from . import BOTH_FLOATS, Op, unary

OPS = [
    Op("special.entr", unary(0.2, 3), special.entr, BOTH_FLOATS),
    Op("special.ndtr", unary(-3, 3), special.ndtr, BOTH_FLOATS),
]
