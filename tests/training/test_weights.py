import pytest
import torch

from rapport.core.errors import RapportError
from rapport.training.weights import RunningMean, borrowed, copy_of, learned, load_learned


def test_learned_weights_leave_out_what_is_frozen_and_keep_saved_buffers(make_model):
    model = make_model()
    model.pooling.requires_grad_(False)
    names = set(learned(model))
    assert not any(name.startswith("pooling.") for name in names)
    assert "head.output.weight" in names
    assert any(name.endswith("running_mean") for name in names)
    assert not any("filterbanks" in name for name in names), "it can be computed again"


def test_weights_come_back_as_they_were(make_model):
    model, other = make_model(seed=0), make_model(seed=1)
    load_learned(other, copy_of(learned(model)))
    assert all(torch.equal(tensor, learned(other)[name]) for name, tensor in learned(model).items())


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_weights_of_another_model_are_refused_by_name(make_model, change):
    model = make_model()
    weights = copy_of(learned(model))
    if change == "missing":
        del weights["head.output.bias"]
    else:
        weights["head.output.bias"] = torch.zeros(9)
    with pytest.raises(RapportError, match=r"head\.output\.bias"):
        load_learned(model, weights)


def test_borrowed_weights_are_given_back_also_after_an_error(make_model):
    model = make_model()
    own = copy_of(learned(model))
    zeros = {name: torch.zeros_like(tensor) for name, tensor in own.items()}

    def fail() -> None:
        with borrowed(model, zeros):
            assert model.head.output.weight.abs().sum() == 0
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(model.head.output.weight.detach(), own["head.output.weight"])


def test_the_running_mean_follows_fast_at_first_and_slowly_later():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    mean = RunningMean(layer, 0.99)
    torch.nn.init.ones_(layer.weight)
    mean.update(1)
    assert mean.weights["weight"].item() == pytest.approx(1 - 2 / 11)
    mean.update(10**6)
    assert mean.weights["weight"].item() == pytest.approx(1 - 2 / 11 * 0.99)


def test_the_running_mean_copies_counters():
    norm = torch.nn.BatchNorm1d(2)
    mean = RunningMean(norm, 0.9)
    norm(torch.randn(4, 2))
    mean.update(1)
    assert mean.weights["num_batches_tracked"].item() == 1
