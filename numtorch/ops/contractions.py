"""Sums of products named by their indices: einsum, tensordot, inner, kron."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from numtorch.graph import mode

from .._device import cpu
from .._dtype import float32, float64
from .._products import is_plain
from .._registry import op
from .._size import wrap_dims
from .._tensor import Tensor, wrap
from .matmul import dot, linear

# Below this many products numpy's loop is done before ours would be found.
_SMALL = 4096


@op(method=False, out=True)
def tensordot(a, b, dims=2) -> Tensor:
    """Products of a and b summed over pairs of dimensions: the last and first `dims`, or those in two lists."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(len(a._size), len(b._size)):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        keep, shared = len(a._size) - dims, b._size[:dims]
        if a._size[keep:] == shared:
            # No dimension changes its place: the product of two matrices.
            inner, columns = prod(shared), b._size[dims:]
            rows = a.reshape(prod(a._size[:keep]), inner)
            return rows.mm(b.reshape(inner, prod(columns))).reshape((*a._size[:keep], *columns))
        left = list(range(keep, len(a._size)))
        right = list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    left, right = wrap_dims(left, len(a._size)), wrap_dims(right, len(b._size))
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(left, right):
        if a._size[i] != b._size[j] and 1 not in (a._size[i], b._size[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._size[i]} in dim {i} and second has size "
                f"{b._size[j]} in dim {j}"
            )
    for i, j in zip(left, right):
        if a._size[i] != b._size[j]:
            if a._size[i] == 1:
                b = b.sum(j, keepdim=True)
            else:
                a = a.sum(i, keepdim=True)
    order_a, size_a, order_b, size_b, size = _contracted(a._size, left, b._size, right)
    if order_a is not None:
        a = a.permute(order_a)
    if order_b is not None:
        b = b.permute(order_b)
    return a.reshape(size_a).mm(b.reshape(size_b)).reshape(size)


@lru_cache(maxsize=1024)
def _contracted(size_a, left, size_b, right):
    """The order of a's dimensions in which `left` come last (None if they do) and its size as a matrix, the same for
    b with `right` first, and the size of the product."""
    keep_a = tuple([d for d in range(len(size_a)) if d not in left])
    keep_b = tuple([d for d in range(len(size_b)) if d not in right])
    rows, columns = [size_a[d] for d in keep_a], [size_b[d] for d in keep_b]
    inner = prod([size_a[d] for d in left])
    order_a, order_b = keep_a + left, right + keep_b
    return (
        None if order_a == tuple(range(len(size_a))) else order_a,
        (prod(rows), inner),
        None if order_b == tuple(range(len(size_b))) else order_b,
        (inner, prod(columns)),
        (*rows, *columns),
    )


@op(out=True)
def inner(input, other) -> Tensor:
    """Sums of products over the last dimensions."""
    if not input._size or not other._size:
        return input * other
    if input._size[-1] != other._size[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input._size)} and "
            f"{list(other._size)}"
        )
    if len(input._size) == len(other._size) == 1:
        return dot(input, other)
    if len(other._size) == 2:
        return linear(input, other)
    return tensordot(input, other, dims=([-1], [-1]))


@op(out=True)
def kron(input, other) -> Tensor:
    """The Kronecker product: every element of `input` times the whole of `other`."""
    n = max(len(input._size), len(other._size))
    spread_a, spread_b, size = _kron_sizes(n, input._size, other._size)
    x, y, d = input._flat, other._flat, input._dtype
    if x is not None and y is not None and d is other._dtype and (d is float32 or d is float64):
        recorded = mode.enabled and (input._requires_grad or other._requires_grad)
        if x.size * y.size < _SMALL and not recorded and input._device is other._device is cpu:
            return wrap((x.reshape(spread_a) * y.reshape(spread_b)).ravel(), size, d)
    return (input.reshape(spread_a) * other.reshape(spread_b)).reshape(size)


@lru_cache(maxsize=1024)
def _kron_sizes(n: int, size_a, size_b):
    """(size of a with a dimension of one behind each of its n, of b with one before each, size of the product)."""
    size_a, size_b = (1,) * (n - len(size_a)) + size_a, (1,) * (n - len(size_b)) + size_b
    spread_a = tuple([m for s in size_a for m in (s, 1)])
    spread_b = tuple([m for s in size_b for m in (1, s)])
    return spread_a, spread_b, tuple([s * m for s, m in zip(size_a, size_b)])


def _parse(equation: str, operands) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand and of the result; an ellipsis becomes as many labels as it stands for."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum(): {'more' if len(operands) > len(terms) else 'fewer'} operands were provided than specified in the "
            "equation"
        )
    lead = 0
    for term, t in zip(terms, operands):
        letters = term.replace("...", "")
        if not all(c.isalpha() for c in letters):
            bad = next(c for c in letters if not c.isalpha())
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {term.index(bad)} in the equation string, subscripts must be "
                "in [a-zA-Z]"
            )
        if "..." in term:
            lead = max(lead, len(t._size) - len(letters))
        elif len(letters) != len(t._size):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(letters)}) does not match the number of "
                f"dimensions ({len(t._size)}) for operand {operands.index(t) if len(operands) == 1 else terms.index(term)} "
                "and no ellipsis was given"
            )
    labels = []
    for term, t in zip(terms, operands):
        before, dots, after = term.partition("...")
        count = len(t._size) - len(before) - len(after) if dots else 0
        labels.append([*before, *[f"...{lead - count + i}" for i in range(count)], *after])
    dotted = [f"...{i}" for i in range(lead)]
    if arrow:
        before, dots, after = right.partition("...")
        result = [*before, *(dotted if dots else []), *after]
        known = {c for each in labels for c in each}
        for c in result:
            if c not in known and not c.startswith("..."):
                raise RuntimeError(
                    f"einsum(): output subscript {c} does not appear in the equation for any input operand"
                )
            if result.count(c) > 1:
                raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
    else:
        counted = [c for each in labels for c in each if not c.startswith("...")]
        result = dotted + sorted({c for c in counted if counted.count(c) == 1})
    return labels, result


def _take_diagonals(t: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """A label that stands twice in one operand means its diagonal."""
    seen: list[str] = []
    for c in list(labels):
        if c in seen:
            i, j = seen.index(c), len(seen)
            if t._size[i] != t._size[j]:
                raise RuntimeError(
                    f"einsum(): subscript {c} is repeated for operand 0 but the sizes don't match, {t._size[j]} != {t._size[i]}"
                )
            t = t.diagonal(0, i, j).movedim(-1, i)
        else:
            seen.append(c)
    return t, seen


def _sum_out(t: Tensor, labels: list[str], needed: set[str]) -> tuple[Tensor, list[str]]:
    gone = [i for i, c in enumerate(labels) if c not in needed]
    if gone:
        t = t.sum(gone)
        labels = [c for c in labels if c in needed]
    return t, labels


def _contract(a: Tensor, la: list[str], b: Tensor, lb: list[str], needed: set[str]) -> tuple[Tensor, list[str]]:
    """One pair: a batched matrix product over the labels that both have and nothing later needs."""
    sizes: dict[str, int] = {}
    for t, labels in ((a, la), (b, lb)):
        for c, n in zip(labels, t._size):
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    shared = [c for c in la if c in lb]
    batch = [c for c in shared if c in needed]
    summed = [c for c in shared if c not in needed]
    only_a = [c for c in la if c not in lb]
    only_b = [c for c in lb if c not in la]

    def arranged(t, labels, order):
        # A dimension of size 1 meets a larger one of the same label by broadcasting.
        t = t.permute([labels.index(c) for c in order])
        return t.expand([sizes[c] if c in shared else n for c, n in zip(order, t._size)])

    def volume(labels):
        total = 1
        for c in labels:
            total *= sizes[c]
        return total

    m = arranged(a, la, batch + only_a + summed).reshape(volume(batch), volume(only_a), volume(summed))
    n = arranged(b, lb, batch + summed + only_b).reshape(volume(batch), volume(summed), volume(only_b))
    labels = batch + only_a + only_b
    return m.bmm(n).reshape([sizes[c] for c in labels]), labels


class _Plan(NamedTuple):
    """How a pair of operands becomes one product: the order of each one's dimensions, then their sizes as matrices.

    None stands for what needs no step. `size` is that of the product's dimensions, `order` the result's order of them.
    Where no dimension is summed over, or every element of the result is a sum of its own, `pointwise` is set: sizes are
    those with which the elements are multiplied, and the last `summed` dimensions are then added up.
    """

    order_a: tuple | None
    size_a: tuple | None
    order_b: tuple | None
    size_b: tuple | None
    size: tuple | None
    order: tuple | None
    pointwise: bool = False
    summed: tuple = ()


# (equation, size of a, size of b, is_plain(a, b)): finding a plan out takes longer than small products.
_plans: dict[tuple, _Plan | None] = {}
_MOST_PLANS = 1000
# Up to so many elements (256 KB of float32), sums of products of their own are cheaper as a product and a sum, which run
# along memory, than as a batch of rows times columns of 20-50 ns each.
_FEW_PRODUCTS = 2**16


def _order(labels: list[str], wanted: list[str]) -> tuple | None:
    return None if labels == wanted else tuple([labels.index(c) for c in wanted])


def _plan_pair(equation: str, a: Tensor, b: Tensor, plain: bool) -> _Plan | None:
    """The plan for two operands whose labels are all different, kept or shared, and of equal sizes where shared.

    `plain` is what `is_plain` says of them: a product and a sum would round halves twice."""
    (la, lb), result = _parse(equation, [a, b])
    sizes_a, sizes_b = dict(zip(la, a._size)), dict(zip(lb, b._size))
    shared = [c for c in la if c in sizes_b]
    if (
        len(sizes_a) < len(la)
        or len(sizes_b) < len(lb)
        or any(sizes_a[c] != sizes_b[c] for c in shared)
        or any(c not in result and c not in shared for c in la + lb)
    ):
        return None
    batch, summed = [c for c in shared if c in result], [c for c in shared if c not in result]
    only_a, only_b = [c for c in la if c not in sizes_b], [c for c in lb if c not in sizes_a]
    sizes = {**sizes_a, **sizes_b}
    kept = batch + only_a + only_b
    order_a, order_b, order = (
        _order(la, batch + only_a + summed),
        _order(lb, batch + summed + only_b),
        _order(kept, result),
    )
    if not summed:
        ones = dict.fromkeys(kept, 1)
        spread_a, spread_b = (tuple([{**ones, **each}[c] for c in result]) for each in (sizes_a, sizes_b))
        order_a, order_b = _order(la, [c for c in result if c in la]), _order(lb, [c for c in result if c in lb])
        size_a = None if len(la) == len(result) else spread_a
        size_b = None if len(lb) == len(result) else spread_b
        return _Plan(order_a, size_a, order_b, size_b, None, None, True)
    if plain and batch and not only_a and not only_b and prod(a._size) <= _FEW_PRODUCTS:
        dims = tuple(range(len(batch), len(la)))
        return _Plan(order_a, None, _order(lb, batch + summed), None, None, order, True, dims)
    if len(only_a) == len(only_b) == len(summed) == 1:
        return _Plan(order_a, None, order_b, None, None, order)  # matrices, or batches of them, as they are
    count, rows, inner, columns = (prod(sizes[c] for c in group) for group in (batch, only_a, summed, only_b))
    lead = (count,) if batch else ()
    size = tuple([sizes[c] for c in kept])
    return _Plan(order_a, (*lead, rows, inner), order_b, (*lead, inner, columns), size, order)


def _follow(plan: _Plan, a: Tensor, b: Tensor) -> Tensor:
    order_a, size_a, order_b, size_b, size, order, pointwise, summed = plan
    if order_a is not None:
        a = a.permute(order_a)
    if order_b is not None:
        b = b.permute(order_b)
    if pointwise:
        t = (a if size_a is None else a.reshape(size_a)) * (b if size_b is None else b.reshape(size_b))
        if summed:
            t = t.sum(summed)
    elif size is None:
        t = a.matmul(b)
    else:
        t = a.reshape(size_a).matmul(b.reshape(size_b)).reshape(size)
    return t if order is None else t.permute(order)


@op(method=False)
def einsum(equation, *operands) -> Tensor:
    """Sums of products by Einstein's convention: "ij,jk->ik" is a matrix product.

    >>> import numtorch as torch
    >>> torch.einsum("ii->i", torch.eye(2))
    tensor([1., 1.])
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list"
        )
    if len(operands) == 2:
        a, b = operands
        plain = is_plain(a, b)
        key = (equation, a._size, b._size, plain)
        plan = _plans.get(key, _plans)  # itself for a key that is not there
        if plan is _plans:
            if len(_plans) >= _MOST_PLANS:
                _plans.clear()
            plan = _plans[key] = _plan_pair(equation, a, b, plain)
        if plan is not None:
            return _follow(plan, a, b)
    elif len(operands) > 2:
        pairs = _pairwise(equation, tuple([t._size for t in operands]))
        if pairs:
            result = operands[0]
            for each, operand in zip(pairs, operands[1:]):
                result = einsum(each, result, operand)
            return result
    else:
        plan = _plan_single(equation, operands[0]._size)
        if plan is not None:
            t, (repeated, gone, order) = operands[0], plan
            if repeated:
                t = t.diagonal()
            if gone:
                t = t.sum(gone)
            return t if order is None else t.permute(order)
    labels, result = _parse(equation, list(operands))
    sizes: dict[str, int] = {}
    for k, (t, each) in enumerate(zip(operands, labels)):
        for c, n in zip(each, t._size):
            if sizes.get(c, 1) == 1:
                sizes[c] = n
            elif n not in (1, sizes[c]):
                raise RuntimeError(
                    f"einsum(): subscript {c} has size {n} for operand {k} which does not broadcast with previously seen "
                    f"size {sizes[c]}"
                )
    t, current = _take_diagonals(operands[0], labels[0])
    for k in range(1, len(operands)):
        later = set(result).union(*labels[k + 1 :])
        u, other = _take_diagonals(operands[k], labels[k])
        t, current = _sum_out(t, current, later | set(other))
        u, other = _sum_out(u, other, later | set(current))
        t, current = _contract(t, current, u, other, later)
    t, current = _sum_out(t, current, set(result))
    return t.permute([current.index(c) for c in result])


@lru_cache(maxsize=1024)
def _plan_single(equation: str, size):
    """(whether it is the diagonal of a matrix, the dimensions to sum over, the order of the others, None if it is that of
    the operand) for one operand; None for what is not that plain, and what changes nothing."""
    term, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow:
        result = "".join(sorted(c for c in set(term) if term.count(c) == 1))
    plain = (
        (term + result).isalpha()
        and term != result
        and len(term) == len(size)
        and set(result) <= set(term)
        and len(set(result)) == len(result)
    )
    repeated = len(term) == 2 and term[0] == term[-1] and len(set(size)) == 1
    if not plain or (len(set(term)) < len(term) and not repeated):
        return None
    term = term[:1] if repeated else term
    kept = [c for c in term if c in result]
    gone = tuple([d for d, c in enumerate(term) if c not in result])
    return repeated, gone, _order(kept, list(result))


@lru_cache(maxsize=1024)
def _pairwise(equation: str, shapes) -> tuple[str, ...]:
    """ "ij,jk,kl->il" as ("ij,jk->ik", "ik,kl->il"): from left to right, as torch goes; () for what is not that plain."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    if not arrow:
        result = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    sizes: dict[str, int] = {}
    plain = (
        len(terms) == len(shapes)
        and (letters + result).isalpha()
        and set(result) <= set(letters)
        and len(set(result)) == len(result)
        and all(len(set(term)) == len(term) == len(shape) for term, shape in zip(terms, shapes))
        and all(sizes.setdefault(c, n) == n for term, shape in zip(terms, shapes) for c, n in zip(term, shape))
    )
    if not plain:
        return ()
    found, current = [], terms[0]
    for k, term in enumerate(terms[1:], 1):
        later = set(result).union(*terms[k + 1 :])
        kept = result if k + 1 == len(terms) else "".join(c for c in dict.fromkeys(current + term) if c in later)
        found.append(f"{current},{term}->{kept}")
        current = kept
    return tuple(found)


def _from_lists(args) -> tuple[str, tuple]:
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) as an equation."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def term(indices):
        return "".join("..." if i is Ellipsis else letters[i] for i in indices)

    pairs = len(args) // 2
    operands = tuple(args[2 * i] for i in range(pairs))
    equation = ",".join(term(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        equation += "->" + term(args[-1])
    return equation, operands
