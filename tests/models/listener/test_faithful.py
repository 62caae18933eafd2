"""The published network: its size, its graph, what its outputs depend on, and what in it never matters."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rapport.models.listener.config import FaithfulConfig
from rapport.models.listener.faithful import FIELD, FaithfulNetwork, GatedNeighbour, TapSmoother, edges


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def one(frames: int) -> torch.Tensor:
    return torch.ones(1, frames, dtype=torch.bool)


@pytest.mark.parametrize(("width", "wanted"), [(512, 3_320_211), (88, 918_251), (28, 839_711), (29, 840_489)])
def test_it_has_the_published_size(width: int, wanted: int) -> None:
    assert size(FaithfulNetwork(width)) == wanted


def test_half_of_it_never_matters() -> None:
    network = FaithfulNetwork(512)
    assert network.inert_parameters == 1_673_601
    assert size(network) - network.inert_parameters == 1_646_610
    unused = size(network.generate_dense)
    assert unused == 115_328
    assert network.inert_parameters - unused - 1 == 1_245_184 + 313_088
    assert FaithfulNetwork(512, FaithfulConfig(connect_dense=True)).inert_parameters == 1_673_601 - unused


def test_what_is_called_inert_gets_no_gradient_and_the_rest_does() -> None:
    torch.manual_seed(0)
    network = FaithfulNetwork(8)
    network(torch.randn(2, 30, 8), torch.ones(2, 30, dtype=torch.bool)).square().mean().backward()
    live = 0
    for parameter in network.parameters():
        live += 0 if parameter.grad is None else int((parameter.grad != 0).sum())
    # Units that are never on get none either.
    assert 0.5 < live / (size(network) - network.inert_parameters) <= 1
    assert all(parameter.grad is None for parameter in network.generate_dense.parameters())


def test_the_graph_is_a_ring() -> None:
    assert edges(5) == [(1, 0), (2, 1), (3, 2), (4, 3), (0, 4)]


def test_a_layer_is_sage_with_an_lstm_over_one_neighbour() -> None:
    torch.manual_seed(0)
    layer, x = GatedNeighbour(6, 4), torch.randn(1, 5, 6)
    following = torch.tensor([[1, 2, 3, 4, 0]])
    message = F.relu(layer.project(x[0, following[0]]))
    aggregated = layer.lstm(message[:, None])[1][0][0]
    torch.testing.assert_close(layer(x, following)[0], layer.neighbour(aggregated) + layer.root(x[0]))


@pytest.mark.parametrize("at", [0, 1, 9, 18, 19])
def test_an_output_depends_on_two_frames_before_and_six_after_round_the_ends(at: int) -> None:
    torch.manual_seed(0)
    frames = 20
    network = FaithfulNetwork(8).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)  # signals die out over the layers at their start
    rows = torch.randn(1, frames, 8, dtype=torch.float64)
    known = network(rows, one(frames))[0, at]
    changed = set()
    for frame in range(frames):
        other = rows.clone()
        other[0, frame] += 1
        if not torch.equal(network(other, one(frames))[0, at], known):
            changed.add(frame)
    smoothed = range(max(0, at + FIELD[0]), min(frames, at + 3))  # the smoother does not go round
    assert changed == {(frame + hop) % frames for frame in smoothed for hop in range(5)}


def test_the_smoother_begins_as_a_gaussian_and_trains() -> None:
    smoother = TapSmoother()
    torch.testing.assert_close(smoother.taps[0], torch.tensor([0.0545, 0.2442, 0.4026, 0.2442, 0.0545]), atol=5e-5, rtol=0)
    optimiser = torch.optim.Adam(smoother.parameters())
    smoother(torch.randn(2, 9, 3)).square().sum().backward()
    optimiser.step()
    assert not torch.equal(smoother.taps[0], smoother.taps[1])
    constant = TapSmoother()(torch.ones(1, 6, 3))[0, :, 0]
    torch.testing.assert_close(constant, torch.tensor([0.7013, 0.9455, 1, 1, 0.9455, 0.7013]), atol=1e-4, rtol=0)


def test_a_turn_is_by_itself_in_evaluation_and_mixes_with_its_neighbour_in_training() -> None:
    torch.manual_seed(0)
    network = FaithfulNetwork(8).double()
    rows, valid = torch.randn(2, 12, 8, dtype=torch.float64), torch.arange(12) < torch.tensor([[7], [12]])
    alone = network.eval()(rows[:1, :7], one(7))[0]
    torch.testing.assert_close(network(rows, valid)[0, :7], alone)
    mixed = network.train()(rows, valid)[0, :7]
    torch.testing.assert_close(mixed[:5], alone[:5])
    assert not torch.allclose(mixed[5:], alone[5:])
