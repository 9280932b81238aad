"""Embedding tables, bags and one_hot."""

import numpy as np

from . import FLOATING, Op, Sample


def embedding_samples(make):
    return [
        Sample(np.array([[0, 2], [2, 1]]), make(4, 3)),
        Sample(np.array([3, 3, 0]), make(4, 2), padding_idx=3),
        Sample(np.array([3, 3, 0]), make(4, 2), -1, scale_grad_by_freq=True),
        Sample(np.array(1), make(2, 3)),
        Sample(np.zeros(0, np.int64), make(2, 3)),
    ]


def embedding_errors(make):
    table = make(3, 2)
    return [
        (Sample(np.array([3]), table), IndexError, "index out of range in self"),
        (Sample(np.array([-1]), table), IndexError, "index out of range in self"),
        (Sample(np.array([0.5]), table), RuntimeError, "Expected tensor for argument #1 'indices'"),
        (Sample(np.array([0]), table, 3), AssertionError, "Padding_idx must be within num_embeddings"),
    ]


def bag_samples(make):
    made = []
    for mode in ("sum", "mean", "max"):
        made += [
            Sample(np.array([[0, 2, 3], [2, 1, 0]]), make.distinct(4, 3), mode=mode),
            Sample(np.array([0, 2, 3, 1]), make.distinct(4, 2), np.array([0, 1, 1, 3]), mode=mode),
            Sample(np.array([0, 2, 3, 2]), make.distinct(4, 2), np.array([0, 2]), mode=mode, padding_idx=2),
        ]
    made.append(Sample(np.array([[0, 2], [2, 1]]), make(4, 3), mode="sum", per_sample_weights=make(2, 2)))
    return made


REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max}


def embedding_bag(input, weight, offsets=None, mode="mean", per_sample_weights=None, padding_idx=None):
    if per_sample_weights is not None:
        return (weight[input] * per_sample_weights[..., None]).sum(1)
    bags = list(input) if offsets is None else np.split(input, offsets[1:])
    out = np.zeros((len(bags), weight.shape[1]))
    for b, bag in enumerate(bags):
        bag = bag[bag != padding_idx] if padding_idx is not None else bag
        if bag.size:
            out[b] = REDUCE[mode](weight[bag], 0)
    return out


def bag_errors(make):
    table = make(3, 2)
    return [
        (Sample(np.array([[3]]), table), RuntimeError, "found idx to be 3|takes value 3"),
        (Sample(np.array([0, 1]), table), ValueError, "offsets has to be a 1D Tensor"),
        (Sample(np.array([0, 1]), table, np.array([1])), RuntimeError, r"offsets\[0\] has to be 0"),
        (Sample(np.array([0, 1]), table, np.array([0, 3])), RuntimeError, "can not be greater than input's length"),
        (
            # torch follows them out of bounds, and notices or not according to what it finds there
            Sample(np.array([0, 1, 2]), table, np.array([0, 2, 1])).skipping(compare="torch does not check"),
            RuntimeError,
            "offsets must not decrease",
        ),
        (Sample(np.array([[0]]), table, mode="min"), ValueError, "mode has to be one of sum, mean or max"),
    ]


def one_hot(x, num_classes=-1):
    return np.eye(x.max() + 1 if num_classes == -1 else num_classes, dtype=np.int64)[x]


def one_hot_errors(make):
    return [
        (Sample(np.array([3]), 3), RuntimeError, "Class values must be smaller than num_classes"),
        (Sample(np.array([-1])), RuntimeError, "Class values must be non-negative"),
        (Sample(np.array([0.5])), RuntimeError, "one_hot is only applicable to index tensor of type LongTensor"),
    ]


OPS = [
    Op(
        "nn.functional.embedding",
        embedding_samples,
        lambda input, weight, padding_idx=None, scale_grad_by_freq=False: weight[input],
        FLOATING,
        errors=embedding_errors,
        covers=("embedding", "embedding_dense_backward"),
        gradcheck=False,  # padding_idx and scale_grad_by_freq change the gradient on purpose: see tests/ops
    ),
    Op(
        "nn.functional.embedding_bag",
        bag_samples,
        embedding_bag,
        ("float32", "float64"),
        errors=bag_errors,
        covers=("embedding_bag",),
        gradcheck=False,
    ),
    Op(
        "nn.functional.one_hot",
        lambda make: [Sample(make.integers(2, 3, high=4)), Sample(make.integers(4, high=3), 5)],
        one_hot,
        ("float32",),
        out="int64",
        errors=one_hot_errors,
        gradcheck=False,
    ),
]
