"""cross_entropy with probabilities as targets, at its edges."""

import pytest

import numtorch as torch
import numtorch.nn.functional as F


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_mean_over_no_samples_is_nan(smoothing):
    nothing = torch.zeros(0, 3)
    assert F.cross_entropy(nothing, nothing, label_smoothing=smoothing).isnan()
    assert F.cross_entropy(nothing, nothing, label_smoothing=smoothing, reduction="sum") == 0


def test_probabilities_have_no_index_to_ignore():
    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point target"):
        F.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3), ignore_index=1)


@pytest.mark.parametrize("loss", [F.nll_loss, F.cross_entropy])
@pytest.mark.parametrize("n", [0, 2, 5])
def test_one_sample_without_a_batch_has_one_target(loss, n):
    with pytest.raises(ValueError, match=f"1D target must have size 1, but got target size: {n}"):
        loss(torch.zeros(7), torch.zeros(n, dtype=torch.int64))


@pytest.mark.parametrize("loss", [F.nll_loss, F.cross_entropy])
@pytest.mark.parametrize("size", [(5, 7), (5, 7, 2)], ids=str)
def test_one_target_is_too_few_for_a_batch(loss, size):
    with pytest.raises(ValueError, match=r"input batch_size \(5\) to match target batch_size \(0\)"):
        loss(torch.zeros(size), torch.tensor(0))
