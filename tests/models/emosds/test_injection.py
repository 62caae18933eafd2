"""Residuals as rows of the input."""

import pytest
import torch
from torch import Tensor

from rapport.models.emosds.config import InjectionConfig
from rapport.models.emosds.injection import ProjectedInjection, build_injection

LENGTHS = torch.tensor([5, 0, 8, 1])


def _frames(width: int = 4) -> Tensor:
    return torch.arange(14.0 * width).view(14, width)


def test_a_tile_is_the_residual_three_times() -> None:
    residuals = torch.randn(7, 1024)
    rows = build_injection(InjectionConfig(kind="tile"), 1024, 3072)(residuals, torch.tensor([7]))
    assert torch.equal(rows[:, :1024], residuals)
    assert torch.equal(rows[:, 1024:2048], residuals)
    assert torch.equal(rows[:, 2048:], residuals)


def test_a_tile_is_cut_where_the_width_is_no_multiple() -> None:
    rows = build_injection(InjectionConfig(kind="tile"), 4, 10)(_frames(), LENGTHS)
    assert torch.equal(rows, torch.cat([_frames(), _frames(), _frames()[:, :2]], 1))
    assert build_injection(InjectionConfig(kind="tile"), 12, 10)(torch.ones(2, 12), torch.tensor([2])).shape == (2, 10)


def test_linear_is_a_row_a_frame() -> None:
    injection = build_injection(InjectionConfig(kind="linear"), 4, 10)
    assert isinstance(injection, ProjectedInjection)
    assert torch.allclose(injection(_frames(), LENGTHS), injection.projection(_frames()))
    assert injection.slots(LENGTHS).tolist() == [5, 0, 8, 1]


@pytest.mark.parametrize("pooling", ["mean", "concat"])
def test_strided_pools_groups_that_never_cross_clips(pooling: str) -> None:
    config = InjectionConfig(kind="strided", stride=4, pooling=pooling)
    injection = build_injection(config, 4, 10)
    assert isinstance(injection, ProjectedInjection)
    assert injection.slots(LENGTHS).tolist() == [2, 0, 2, 1] == [config.slots(int(n)) for n in LENGTHS]
    frames, place, wanted = _frames(), 0, []
    for length in LENGTHS.tolist():
        for start in range(place, place + length, 4):
            group = frames[start : min(start + 4, place + length)]
            padded = torch.cat([group, torch.zeros(4 - len(group), 4)])
            wanted.append(group.mean(0) if pooling == "mean" else padded.flatten())
        place += length
    assert torch.allclose(injection(frames, LENGTHS), injection.projection(torch.stack(wanted)), atol=1e-4)


def test_a_fitted_scale_makes_every_dimension_standard() -> None:
    injection = ProjectedInjection(4, 10)
    residuals = torch.randn(500, 4) * torch.tensor([1.0, 10, 100, 0]) + 3
    injection.fit_scale(residuals)
    scaled = (residuals - injection.mean) / injection.deviation
    assert torch.allclose(scaled.std(0), torch.tensor([1.0, 1, 1, 0]), atol=1e-3)
    assert torch.allclose(scaled.mean(0), torch.zeros(4), atol=1e-3)


def test_residuals_of_any_precision_are_taken() -> None:
    injection = ProjectedInjection(4, 10, stride=3).to(torch.bfloat16)
    for dtype in (torch.float16, torch.float64):
        assert injection(_frames().to(dtype), LENGTHS).dtype == torch.bfloat16


def test_no_residuals_at_all_give_gradients_of_zero() -> None:
    injection = ProjectedInjection(4, 10, stride=2, pooling="concat")
    injection(torch.zeros(0, 4), torch.zeros(3, dtype=torch.int64)).sum().backward()
    assert injection.projection.weight.grad is not None
    assert not injection.projection.weight.grad.any()
