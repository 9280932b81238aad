"""Losses of nn.functional."""

import numpy as np

from . import BOTH_FLOATS, Op, Sample
from ._reference import special

F = "nn.functional."


def reduced(loss, reduction):
    return {"none": lambda x: x, "mean": np.mean, "sum": np.sum}[reduction](loss)


def elementwise(formula):
    """A loss of one formula an element, with its reduction."""

    def reference(x, t, reduction="mean", **parameters):
        return reduced(formula(x, t, **parameters), reduction)

    return reference


def pairs(make, low=-2, high=2, target=(-2, 2), **parameters):
    def pair(*shape):
        return make(*shape, low=low, high=high), make(*shape, low=target[0], high=target[1])

    return [
        Sample(*pair(3, 4), **parameters),
        Sample(*pair(5), reduction="sum", **parameters),
        Sample(*pair(2, 3), reduction="none", **parameters),
        Sample(*pair(), **parameters),
    ]


def _smooth_l1(x, t, beta=1.0):
    d = np.abs(x - t)
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def _huber(x, t, delta=1.0):
    d = np.abs(x - t)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def _bce(x, t):
    return -(t * np.log(x) + (1 - t) * np.log(1 - x))


def _bce_with_logits(x, t, weight=None, reduction="mean", pos_weight=None):
    positive = 1 if pos_weight is None else pos_weight
    loss = -(positive * t * special.log_expit(x) + (1 - t) * special.log_expit(-x))
    return reduced(loss if weight is None else loss * weight, reduction)


def _signs(make, *shape):
    return np.asarray(np.where(make.bools(*shape), 1, -1)).astype(make.np_dtype)


def _nll(x, t, weight=None, ignore_index=-100, reduction="mean"):
    w = np.ones(x.shape[1]) if weight is None else weight
    counted = t != ignore_index
    place = np.where(counted, t, 0)
    weights = w[place] * counted
    loss = -np.take_along_axis(x, np.expand_dims(place, 1), 1).squeeze(1) * weights
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction)


def _classes(make):
    return [
        (make(4, 5), make.integers(4, high=5)),
        Sample(make(4, 5), make.integers(4, high=5), reduction="none"),
        Sample(make(3, 4, 2), make.integers(3, 2, high=4), reduction="sum"),
        Sample(make(4, 5), np.array([1, 2, 0, 2]), ignore_index=2),
    ]


def _cross_entropy(x, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    logp = special.log_softmax(x, axis=1)
    if t.dtype.kind == "f":
        loss = -(logp * t).sum(1)
        return loss.mean() if reduction == "mean" else reduced(loss, reduction)
    s = label_smoothing
    return (1 - s) * _nll(logp, t, weight, ignore_index, reduction) + s * reduced(-logp.mean(1), reduction)


def _cross_entropies(make):
    return [
        *_classes(make),
        Sample(make(4, 5), make.integers(4, high=5), label_smoothing=0.1),
        Sample(make(4, 5), special.softmax(make(4, 5), axis=1).astype(make.np_dtype)).skipping(
            node="torch divides by a number in C++, which has a node of its own"
        ),
    ]


def _multi_margin(x, t, p=1, margin=1.0, reduction="mean"):
    z = np.maximum(0, margin - np.take_along_axis(x, t[:, None], 1) + x) ** p
    z[np.arange(len(t)), t] = 0
    return reduced(z.sum(1) / x.shape[1], reduction)


def _multilabel_margin(x, t, reduction="mean"):
    losses = []
    for row, labels in zip(x, t, strict=True):
        labels = labels[: list(labels).index(-1)] if -1 in labels else labels
        others = [j for j in range(len(row)) if j not in labels]
        losses.append(sum(max(0, 1 - row[k] + row[j]) for k in labels for j in others) / len(row))
    return reduced(np.array(losses), reduction)


def _triplet(a, p, n, margin=1.0, reduction="mean"):
    def distance(x, y):
        return np.linalg.norm(x - y + 1e-6, 2, -1)

    return reduced(np.maximum(0, margin + distance(a, p) - distance(a, n)), reduction)


def _cosine(x, y):
    return (x * y).sum(-1) / np.sqrt(((x * x).sum(-1) + 1e-12) * ((y * y).sum(-1) + 1e-12))


def _ctc(logp, labels, steps, lengths):
    """All alignments by brute force: every path of the steps that collapses to the labels."""
    losses = []
    for b in range(logp.shape[1]):
        wanted = [int(c) for c in labels[b, : lengths[b]]]
        total = 0.0
        for path in np.ndindex(*(logp.shape[2],) * steps[b]):
            merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
            if [c for c in merged if c] == wanted:
                total += np.exp(sum(logp[i, b, c] for i, c in enumerate(path)))
        losses.append(-np.log(total) / max(lengths[b], 1))
    return np.mean(losses)


def _ctc_samples(make):
    logp = special.log_softmax(make(4, 2, 3), axis=2).astype(make.np_dtype)
    return [(logp, np.array([[1, 2], [2, 1]]), (4, 3), (2, 1))]


BOTH = {"dtypes": BOTH_FLOATS, "rtol": 1e-5, "atol": 2e-6}

OPS = [
    Op(F + "mse_loss", pairs, elementwise(lambda x, t: (x - t) ** 2), covers=("mse_loss_",), **BOTH),
    Op(F + "l1_loss", pairs, elementwise(lambda x, t: np.abs(x - t)), **BOTH),
    Op(
        F + "smooth_l1_loss",
        lambda make: pairs(make, beta=0.7),
        elementwise(_smooth_l1),
        covers=("smooth_l1_loss_",),
        **BOTH,
    ),
    Op(
        F + "huber_loss",
        lambda make: pairs(make, delta=0.7),
        elementwise(_huber),
        covers=("huber_loss_",),
        **BOTH,
    ),
    Op(
        F + "binary_cross_entropy",
        lambda make: pairs(make, 0.1, 0.9, (0.1, 0.9)),
        elementwise(_bce),
        covers=("binary_cross_entropy_",),
        **BOTH,
    ),
    Op(
        F + "binary_cross_entropy_with_logits",
        lambda make: [
            *pairs(make, target=(0, 1)),
            Sample(make(3, 4), make(3, 4, low=0, high=1), make(4, low=1, high=2)),
            Sample(make(3, 4), make(3, 4, low=0, high=1), pos_weight=make(4, low=1, high=2)),
        ],
        _bce_with_logits,
        covers=("binary_cross_entropy_with_logits_", "weighted_bce_with_logits"),
        grad_of=(0, 1),
        **BOTH,
    ),
    Op(
        F + "soft_margin_loss",
        lambda make: [(make(3, 4), _signs(make, 3, 4)), Sample(make(5), _signs(make, 5), reduction="none")],
        elementwise(lambda x, t: np.log1p(np.exp(-t * x))),
        covers=("soft_margin_loss_",),
        grad_of=(0,),
        **BOTH,
    ),
    Op(
        F + "kl_div",
        lambda make: [
            Sample(make(3, 4, low=-2, high=-0.1), make(3, 4, low=0.1, high=1), reduction="sum"),
            Sample(make(3, 4), make(3, 4), reduction="batchmean", log_target=True),
        ],
        lambda x, t, reduction, log_target=False: (
            (np.exp(t) * (t - x)).sum() / len(x) if log_target else (t * (np.log(t) - x)).sum()
        ),
        **BOTH,
    ),
    Op(F + "nll_loss", _classes, _nll, **BOTH),
    Op(F + "cross_entropy", _cross_entropies, _cross_entropy, covers=("cross_entropy_", "smoothed_"), **BOTH),
    Op(
        F + "multi_margin_loss",
        lambda make: [
            (make(4, 5), make.integers(4, high=5)),
            Sample(make(4, 5), make.integers(4, high=5), p=2, margin=0.7, reduction="none"),
        ],
        _multi_margin,
        covers=("multi_margin_loss_",),
        **BOTH,
    ),
    Op(
        F + "multilabel_margin_loss",
        lambda make: [(make(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]]))],
        _multilabel_margin,
        covers=("multilabel_margin_loss_",),
        **BOTH,
    ),
    Op(
        F + "multilabel_soft_margin_loss",
        lambda make: [(make(3, 4), make.bools(3, 4).astype(make.np_dtype))],
        lambda x, t: -(t * special.log_expit(x) + (1 - t) * special.log_expit(-x)).mean(),
        grad_of=(0,),
        **BOTH,
    ),
    Op(
        F + "poisson_nll_loss",
        lambda make: [(make(3, 4), make(3, 4, low=2, high=4))],
        lambda x, t: (np.exp(x) - t * x).mean(),
        **BOTH,
    ),
    Op(
        F + "gaussian_nll_loss",
        lambda make: [(make(3, 4), make(3, 4), make(3, 4, low=0.5, high=2))],
        lambda x, t, v: (0.5 * (np.log(v) + (x - t) ** 2 / v)).mean(),
        **BOTH,
    ),
    Op(
        F + "hinge_embedding_loss",
        lambda make: [(make(3, 4), _signs(make, 3, 4))],
        lambda x, t: np.where(t == 1, x, np.maximum(0, 1 - x)).mean(),
        grad_of=(0,),
        covers=("hinge_embedding_mean_", "hinge_embedding_sum_"),
        **BOTH,
    ),
    Op(
        F + "margin_ranking_loss",
        lambda make: [Sample(make(5), make(5), _signs(make, 5), margin=0.3)],
        lambda x, y, t, margin: np.maximum(0, -t * (x - y) + margin).mean(),
        grad_of=(0, 1),
        **BOTH,
    ),
    Op(
        F + "cosine_embedding_loss",
        lambda make: [(make(4, 3), make(4, 3), _signs(make, 4))],
        lambda x, y, t: np.where(t == 1, 1 - _cosine(x, y), np.maximum(0, _cosine(x, y))).mean(),
        grad_of=(0, 1),
        **BOTH,
    ),
    Op(F + "triplet_margin_loss", lambda make: [(make(3, 4), make(3, 4), make(3, 4))], _triplet, **BOTH),
    Op(
        F + "ctc_loss",
        _ctc_samples,
        _ctc,
        covers=("_ctc_loss_",),
        gradcheck=False,
        gradgradcheck=False,
        **BOTH,
    ),
]
