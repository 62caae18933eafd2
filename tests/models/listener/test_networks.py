"""The networks that stream: frame by frame, in blocks and all at once they give the same, and see no future."""

import numpy as np
import pytest
import torch

from rapport.models.listener.config import LstmConfig, TcnConfig
from rapport.models.listener.lstm import CausalLstm
from rapport.models.listener.tcn import CausalTcn

TCNS = [TcnConfig(width=12), TcnConfig(width=8, kernel=2, dilations=(1, 3, 7)), TcnConfig(width=8, kernel=5, dilations=(2, 1))]


def networks() -> list[CausalTcn | CausalLstm]:
    torch.manual_seed(2)
    found: list[CausalTcn | CausalLstm] = [CausalTcn(6, config) for config in TCNS]
    found.append(CausalLstm(6, LstmConfig(width=10)))
    for network in found:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return [network.double().eval() for network in found]


@pytest.mark.parametrize("network", networks(), ids=["default", "kernel 2", "kernel 5", "lstm"])
@torch.inference_mode()
def test_steps_blocks_and_the_whole_agree(network: CausalTcn | CausalLstm) -> None:
    rows = torch.randn(3, 300, 6, dtype=torch.float64)
    whole = network(rows)
    memories = [network.memory() for _ in rows]
    stepped = torch.stack([network.step(rows[:, frame], memories) for frame in range(300)], dim=1)
    torch.testing.assert_close(stepped, whole, atol=1e-10, rtol=0)
    memory, parts = network.memory(), []
    for start, end in ((0, 5), (5, 6), (6, 140), (140, 141), (141, 300)):
        parts.append(network.extend(rows[0, start:end], memory))
    torch.testing.assert_close(torch.cat(parts), whole[0], atol=1e-10, rtol=0)
    np.testing.assert_allclose(memory.values, memories[0].values, atol=1e-10)
    assert memory.frames == memories[0].frames == 300


@pytest.mark.parametrize("network", networks(), ids=["default", "kernel 2", "kernel 5", "lstm"])
@torch.inference_mode()
def test_streams_at_different_places_move_together(network: CausalTcn | CausalLstm) -> None:
    rows = torch.randn(2, 60, 6, dtype=torch.float64)
    whole = network(rows)
    early, late = network.memory(), network.memory()
    network.extend(rows[1, :23], late)
    for frame in range(30):
        both = network.step(torch.stack([rows[0, frame], rows[1, 23 + frame]]), [early, late])
        torch.testing.assert_close(both, torch.stack([whole[0, frame], whole[1, 23 + frame]]), atol=1e-10, rtol=0)


@pytest.mark.parametrize("config", TCNS)
def test_an_output_depends_on_its_field_and_on_nothing_else(config: TcnConfig) -> None:
    torch.manual_seed(0)
    network = CausalTcn(6, config).eval()
    field = 1 + (config.kernel - 1) * sum(config.dilations)
    assert network.field_frames == field
    rows = torch.randn(1, field + 40, 6, requires_grad=True)
    at = field + 20
    network(rows)[0, at].sum().backward()
    assert rows.grad is not None
    seen = rows.grad[0].abs().sum(1).nonzero().flatten()
    assert seen.min() == at - field + 1
    assert seen.max() == at


def test_the_default_has_the_size_of_the_specification() -> None:
    network = CausalTcn(32, TcnConfig())
    assert network.field_frames == 255
    assert sum(parameter.numel() for parameter in network.parameters()) < 400_000


@torch.inference_mode()
def test_moved_weights_are_taken_up() -> None:
    network = CausalTcn(6, TCNS[1]).eval()
    rows = torch.randn(1, 6)
    network.step(rows, [network.memory()])
    network.double()
    torch.nn.init.zeros_(network.weight)
    hidden = network.step(rows.double(), [network.memory()])
    torch.testing.assert_close(hidden, network(rows[None].double())[0])
