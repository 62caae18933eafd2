import pytest
import torch

from rapport.models.listener.heads import Motion
from rapport.training.motion_config import MotionLossConfig
from rapport.training.motion_loss import mean_correlation, motion_loss
from rapport.training.motion_turns import MotionBatch

SPREAD = torch.tensor([1.0, 2.0, 4.0])


def batch(frames: int = 60, turns: int = 2) -> MotionBatch:
    time = torch.arange(frames) / 30
    waves = torch.stack([torch.sin(2 * torch.pi * (0.5 + 0.3 * turn) * time) for turn in range(turns)])
    scored = torch.ones(turns, frames, dtype=torch.bool)
    return MotionBatch(torch.zeros(turns, frames, 4), waves[..., None] * SPREAD, torch.full((turns,), frames), scored)


def only(**weights: object) -> MotionLossConfig:
    zero = {f"{name}_weight": 0.0 for name in ("position", "velocity", "correlation", "likelihood")}
    # One of two has to be there; the likelihood is nothing for a head that tells a point.
    return MotionLossConfig.model_validate({**zero, "likelihood_weight": 1.0, **weights})


def loss(mean: torch.Tensor, examples: MotionBatch, config: MotionLossConfig, log_deviation: torch.Tensor | None = None) -> torch.Tensor:
    return motion_loss(Motion(mean, log_deviation), examples, SPREAD, 30, config)


def test_right_motion_costs_nothing():
    examples = batch()
    assert loss(examples.targets, examples, MotionLossConfig()) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("part", ["position_weight", "velocity_weight", "correlation_weight"])
def test_every_part_has_a_gradient_that_leads_to_the_truth(part):
    examples = batch()
    torch.manual_seed(0)
    motion = torch.randn_like(examples.targets, requires_grad=True)
    config = only(**{part: 1.0})
    optimizer = torch.optim.Adam([motion], lr=0.1)
    first = loss(motion, examples, config).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss(motion, examples, config).backward()
        assert motion.grad is not None
        assert motion.grad.isfinite().all()
        optimizer.step()
    assert loss(motion, examples, config).item() < 0.1 * first
    r = mean_correlation(motion.detach() / SPREAD, examples.targets / SPREAD, examples.scored[..., None])
    assert r > 0.9


def test_the_gradient_of_the_correlation_is_that_of_finite_differences():
    torch.manual_seed(1)
    scored = torch.ones(2, 9, 1, dtype=torch.bool)
    scored[1, 6:] = False
    motion = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(2, 9, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: mean_correlation(values, targets, scored), motion)


def test_correlation_sees_neither_size_nor_offset_and_a_still_head_is_set_moving():
    examples = batch()
    counted = examples.scored[..., None]
    assert mean_correlation(3 * examples.targets + 7, examples.targets, counted) == pytest.approx(1, abs=1e-4)
    assert mean_correlation(-examples.targets, examples.targets, counted) == pytest.approx(-1, abs=1e-4)
    still = torch.zeros_like(examples.targets, requires_grad=True)
    r = mean_correlation(still, examples.targets, counted)
    assert r == 0
    r.backward()
    assert still.grad is not None
    assert still.grad.isfinite().all()
    assert still.grad.abs().max() > 0


def test_frames_that_are_not_scored_change_nothing():
    examples = batch()
    cut = examples._replace(scored=examples.scored.clone())
    cut.scored[0, :20] = False
    cut.scored[1, 40:] = False
    torch.manual_seed(0)
    motion = torch.randn_like(examples.targets)
    other = torch.where(cut.scored[..., None], motion, torch.randn_like(motion) * 100)
    log_deviation = torch.zeros_like(motion)
    config = MotionLossConfig(likelihood_weight=1)
    assert loss(other, cut, config, log_deviation) == pytest.approx(loss(motion, cut, config, log_deviation).item())
    assert loss(motion, examples, config, log_deviation) != pytest.approx(loss(motion, cut, config, log_deviation).item())


def test_the_offset_of_a_turn_counts_as_told():
    examples = batch()
    moved = examples.targets + 3 * SPREAD
    costs = [loss(moved, examples, only(position_weight=1, offset=share)).item() for share in (0, 0.1, 1)]
    assert costs == pytest.approx([0, 0.09, 5], abs=1e-5)
    assert loss(moved, examples, only(position_weight=1, offset=1, position="squared")) == pytest.approx(9)


def test_the_likelihood_is_best_at_the_deviation_that_is_there():
    examples = batch(frames=3000)
    torch.manual_seed(0)
    mean = examples.targets + 0.5 * SPREAD * torch.randn_like(examples.targets)
    config = only(likelihood_weight=1, offset=1)
    costs = [loss(mean, examples, config, (scale * SPREAD).log().expand_as(mean)).item() for scale in (0.25, 0.5, 1)]
    assert min(costs) == costs[1]
    assert costs[1] == pytest.approx(0.5 + torch.tensor(0.5).log().item(), abs=0.02)


def test_a_loss_without_a_place_for_the_head_is_refused():
    with pytest.raises(ValueError, match="both 0"):
        MotionLossConfig(position_weight=0, likelihood_weight=0)
