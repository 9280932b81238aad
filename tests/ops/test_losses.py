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
