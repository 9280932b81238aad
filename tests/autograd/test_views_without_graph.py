"""Views that are taken under no_grad: they need gradients as their base does, but receive none."""

import pytest

import numtorch as torch

VIEWS = {
    "index": lambda x: x[0],
    "slice": lambda x: x[:, 1:],
    "t": lambda x: x.t(),
    "view": lambda x: x.view(12),
    "expand": lambda x: x.expand(2, 3, 4),
    "diagonal": lambda x: x.diagonal(),
    "split": lambda x: x.split(2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "view_as_complex": lambda x: torch.view_as_complex(x.view(6, 2)),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_a_view_needs_gradients_as_its_base_does(name, made, around):
    x = torch.ones(3, 4, requires_grad=True)
    x = x * 2 if made else x
    with around():
        v = VIEWS[name](x)
    assert v.requires_grad and v.is_leaf and v.grad_fn is None
    assert not VIEWS[name](x.detach()).requires_grad


def test_no_gradient_reaches_it_or_its_base():
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x[:2]
    y = (v * 3).sum()
    assert y.requires_grad
    y.backward()
    assert v.grad is None and x.grad is None


def test_a_view_that_asks_for_gradients_itself_receives_them():
    v = torch.ones(3)[:2].requires_grad_()
    (v * 3).sum().backward()
    assert v.grad.tolist() == [3.0, 3.0]


def test_it_is_written_under_no_grad_only():
    x = torch.ones(2, 2, requires_grad=True)
    with torch.no_grad():
        v = x[0]
        v.mul_(5)
        for part in x.split(1):
            part.add_(1)
    assert x.tolist() == [[6.0, 6.0], [2.0, 2.0]] and x.is_leaf
    with pytest.raises(RuntimeError):
        v.mul_(2)


def test_broadcast_to_takes_sizes_one_by_one():
    assert torch.ones(3).broadcast_to(2, 3).shape == torch.broadcast_to(torch.ones(3), (2, 3)).shape == (2, 3)
