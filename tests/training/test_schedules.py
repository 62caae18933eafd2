import pytest
import torch

from rapport.training.config import ScheduleConfig
from rapport.training.schedules import Rate, rate_schedule

TOTAL, PER_EPOCH = 120, 12


def torch_rates(make_scheduler, steps: int = TOTAL) -> list[tuple[float, float]]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.9, 0.98))
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        scheduler.step()
    return rates


def test_one_cycle_is_pytorchs_with_its_cycled_momentum():
    ours = rate_schedule(ScheduleConfig(name="onecycle", rise=0.2), TOTAL, PER_EPOCH)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=TOTAL, pct_start=0.2), TOTAL)
    for step, (rate, momentum) in enumerate(theirs):
        assert ours(step).factor == pytest.approx(rate, abs=1e-9)
        assert ours(step).momentum == pytest.approx(momentum, abs=1e-9)


def test_one_cycle_keeps_the_configured_momentum_if_asked():
    assert rate_schedule(ScheduleConfig(cycle_momentum=False), TOTAL, PER_EPOCH)(5).momentum is None


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_very_few_steps_stays_within_its_bounds(steps):
    rate = rate_schedule(ScheduleConfig(name="onecycle"), steps, steps)
    assert all(0 < rate(step).factor <= 1 for step in range(steps))


@pytest.mark.parametrize(("unit", "period"), [("step", 10), ("epoch", 120)])
def test_warm_restarts_are_pytorchs_in_either_unit(unit, period):
    config = ScheduleConfig(name="cosine_warm_restarts", unit=unit, period=10, period_factor=2, floor=0.1)
    ours = rate_schedule(config, 2000, PER_EPOCH)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, period, T_mult=2, eta_min=0.1), 1300)
    assert [ours(step).factor for step in range(1300)] == pytest.approx([rate for rate, _ in theirs], abs=1e-6)


def test_warm_restarts_fall_where_the_original_program_has_them():
    config = ScheduleConfig(name="cosine_warm_restarts", unit="step", period=10, period_factor=2)
    ours = rate_schedule(config, 43950, 879)
    restarts = [step for step in range(1, 41000) if ours(step).factor > ours(step - 1).factor]
    assert restarts == [10, 30, 70, 150, 310, 630, 1270, 2550, 5110, 10230, 20470, 40950]


def test_equal_periods_restart_evenly():
    ours = rate_schedule(ScheduleConfig(name="cosine_warm_restarts", unit="step", period=7, period_factor=1), TOTAL, PER_EPOCH)
    assert [step for step in range(30) if ours(step).factor == 1] == [0, 7, 14, 21, 28]


def test_cosine_is_pytorchs():
    ours = rate_schedule(ScheduleConfig(name="cosine", unit="step", length=50), TOTAL, PER_EPOCH)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50), 100)
    assert [ours(step).factor for step in range(100)] == pytest.approx([rate for rate, _ in theirs], abs=1e-6)


def test_warmup_in_epochs_rises_step_by_step_and_hands_over_at_the_peak():
    ours = rate_schedule(ScheduleConfig(name="linear", unit="epoch", warmup=1), TOTAL, PER_EPOCH)
    rise = [ours(step).factor for step in range(PER_EPOCH)]
    assert rise == sorted(rise)
    assert rise[0] == pytest.approx(1 / 13)
    assert ours(PER_EPOCH) == Rate(1.0)
    assert ours(TOTAL - 1).factor == pytest.approx(1 / (TOTAL - PER_EPOCH))


def test_the_floor_bounds_the_fall():
    ours = rate_schedule(ScheduleConfig(name="linear", unit="epoch", length=2, floor=0.25), TOTAL, PER_EPOCH)
    assert ours(TOTAL - 1).factor == 0.25


def test_a_constant_rate_is_constant():
    ours = rate_schedule(ScheduleConfig(name="constant"), TOTAL, PER_EPOCH)
    assert {ours(step) for step in range(TOTAL)} == {Rate(1.0)}


def test_one_cycle_refuses_a_warmup_of_its_own():
    with pytest.raises(ValueError, match="rises by itself"):
        ScheduleConfig(name="onecycle", warmup=2)
