"""Attention by blocks against numpy in float64, at sizes on both sides of every block and vector."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.kernels.cpu import attention as kernels

attend = torch.nn.functional.scaled_dot_product_attention


def reference(q, k, v, allowed, added, g):
    """The result and the gradients of q, k and v, for a loss whose gradient at the result is g."""
    scale = q.shape[-1] ** -0.5
    scores = q @ k.swapaxes(-2, -1) * scale + added
    scores = np.where(allowed, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0, top))
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    slopes = g @ v.swapaxes(-2, -1)
    slopes = weights * (slopes - (slopes * weights).sum(-1, keepdims=True)) * scale
    return weights @ v, slopes @ k, slopes.swapaxes(-2, -1) @ q, weights.swapaxes(-2, -1) @ g


def tensors(arrays, inside):
    """Tensors of (batch, heads, rows, columns); `inside`: in memory the heads lie side by side in a row."""
    made = []
    for x in arrays:
        x = torch.from_numpy(x.swapaxes(1, 2).copy()).transpose(1, 2) if inside else torch.from_numpy(x.copy())
        made.append(x.detach().requires_grad_())
    return made


# Rows on both sides of DOT_ROWS (8), of a block (16 to 64) and of its parts; columns of a vector (8, 16).
SIZES = [
    (1, 1, 1, 1),
    (3, 17, 5, 5),
    (8, 16, 16, 16),
    (9, 15, 8, 3),
    (16, 33, 20, 20),
    (65, 64, 32, 32),
    (130, 70, 3, 9),
]
SIZES.append((40, 2100, 8, 8))  # blocks of the fewest rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", ["none", "causal", "allowed", "added", "row"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_results_and_gradients_are_numpys(size, mask, dtype):
    rows, columns, e, ev = size
    rng = np.random.default_rng(rows)
    q, k, v, g = (
        rng.standard_normal((2, 3, *shape)).astype(dtype)
        for shape in ((rows, e), (columns, e), (columns, ev), (rows, ev))
    )
    allowed, added, options = np.ones((rows, columns), bool), np.zeros((rows, columns), dtype), {}
    if mask == "causal":
        allowed = np.tril(allowed)
        options["is_causal"] = True
    elif mask == "allowed":
        allowed = rng.random((rows, columns)) < 0.6
        allowed[0] = False  # a row that may attend to nothing
        options["attn_mask"] = torch.from_numpy(allowed)
    elif mask == "row":
        allowed = rng.random((2, 1, 1, columns)) < 0.8
        options["attn_mask"] = torch.from_numpy(allowed)
    elif mask == "added":
        added = rng.standard_normal((3, rows, columns)).astype(dtype)
        options["attn_mask"] = torch.from_numpy(added)
    wide = [x.astype("float64") for x in (q, k, v)]
    expected = reference(*wide, allowed, added.astype("float64"), g.astype("float64"))
    tolerance = 3e-6 if dtype == "float32" else 1e-13
    for inside in (False, True):
        given = tensors((q, k, v), inside)
        result = attend(*given, **options)
        assert result.grad_fn.name() == "ScaledDotProductFlashAttentionForCpuBackward0"
        result.backward(torch.from_numpy(g))
        for found, want in zip((result.detach(), *(t.grad for t in given)), expected, strict=True):
            np.testing.assert_allclose(found.numpy(), want, rtol=0, atol=tolerance * max(1, np.abs(want).max()))


def test_threads_change_no_bit():
    torch.manual_seed(0)
    q, k, v, g = (torch.randn(2, 3, 150, 40) for _ in range(4))
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            given = [t.clone().requires_grad_() for t in (q, k, v)]
            result = attend(*given, is_causal=True)
            result.backward(g)
            found.append([result.detach().numpy(), *(t.grad.numpy() for t in given)])
    finally:
        torch.set_num_threads(before)
    for each in found[1:]:
        for x, y in zip(found[0], each, strict=True):
            np.testing.assert_array_equal(x, y)


def test_parts_share_the_blocks_of_few_matrices():
    assert kernels._parts(10**9, 3) <= 3
    assert kernels._parts(100, 50) == 1


def test_a_recorded_backward_is_differentiable():
    torch.manual_seed(0)
    given = [torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    assert torch.autograd.gradgradcheck(lambda *t: attend(*t, attn_mask=mask), given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, 5, 8).to(dtype) for _ in range(3))
    wide = attend(q.float(), k.float(), v.float())
    assert torch.equal(attend(q, k, v), wide.to(dtype))


def test_queries_may_share_keys():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 6, 8), torch.randn(2, 2, 6, 8)
    expected = attend(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
    assert torch.equal(attend(q, k, v, enable_gqa=True), expected)


def test_a_mask_that_needs_a_gradient_gets_one():
    mask = torch.zeros(2, 2, requires_grad=True)
    q = torch.eye(2)
    attend(q, q, q, attn_mask=mask).sum().backward()
    assert mask.grad is not None


def test_the_result_joins_its_heads_without_a_copy():
    q = torch.randn(2, 3, 4, 8)
    assert attend(q, q, q).transpose(1, 2).is_contiguous()
