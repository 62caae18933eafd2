"""Filters, limits, holding and drawing: what happens to a pose between the network and the robot."""

import math

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.listener.config import IdleConfig, LimitsConfig, ListenerConfig, SmoothingConfig
from rapport.models.listener.limits import Limiter
from rapport.models.listener.shaping import MotionShaper, ShaperState
from rapport.models.listener.smoothing import latency_s, make_smoother

KINDS = ("none", "ema", "one_euro")


def smoothed(config: SmoothingConfig, angles: np.ndarray, rate_hz: int = 30) -> np.ndarray:
    smoother = make_smoother(config, rate_hz)
    return np.array([smoother((a, a, a))[0] for a in angles.tolist()])


@pytest.mark.parametrize("kind", KINDS)
def test_the_latency_that_is_told_is_the_lag_behind_slow_motion(kind: str) -> None:
    config = SmoothingConfig.model_validate({"kind": kind, "beta": 0})
    ramp_deg_s = 3.0
    time_s = np.arange(300) / 30
    lag_s = time_s[-1] - smoothed(config, ramp_deg_s * time_s)[-1] / ramp_deg_s
    assert lag_s == pytest.approx(latency_s(config, 30), abs=1e-9)
    assert (latency_s(config, 30) > 0) == (kind != "none")


def test_the_one_euro_filter_stills_a_resting_head_and_follows_a_fast_one() -> None:
    rng = np.random.default_rng(0)
    config = SmoothingConfig(min_cutoff_hz=1.0, beta=0.2)
    jitter = rng.normal(0, 0.2, 600)
    assert smoothed(config, jitter)[100:].std() < 0.6 * jitter.std()
    turn = np.concatenate([np.zeros(30), np.linspace(0, 40, 12), np.full(30, 40)])
    fast, slow = smoothed(config, turn), smoothed(SmoothingConfig(min_cutoff_hz=1.0, beta=0), turn)
    assert abs(fast - turn).max() < 0.7 * abs(slow - turn).max()


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_goes_on_from_its_state(kind: str) -> None:
    config = SmoothingConfig.model_validate({"kind": kind})
    first, second = make_smoother(config, 30), make_smoother(config, 30)
    for angle in (1.0, 5.0, -3.0):
        first((angle, 0.0, -angle))
    second.state = first.state
    assert first((9.0, 1.0, 2.0)) == second((9.0, 1.0, 2.0))


def test_poses_stay_within_the_angles_and_the_speed() -> None:
    limiter = Limiter(LimitsConfig(angles_deg=(10, 20, 30), speed_deg_s=90), 30, (0.0, 0.0, 0.0))
    rng = np.random.default_rng(0)
    wild = rng.normal(0, 60, (400, 3))
    wild[50], wild[51], wild[52] = np.nan, np.inf, -np.inf
    poses = np.array([limiter((a, b, c)) for a, b, c in wild.tolist()])
    assert np.isfinite(poses).all()
    assert (np.abs(poses).max(0) <= (10, 20, 30)).all()
    assert np.abs(np.diff(poses, axis=0, prepend=np.zeros((1, 3)))).max() <= 3 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1.7e308])
def test_a_mean_that_is_no_number_is_forgotten_at_once(kind: str, broken: float) -> None:
    config = ListenerConfig(smoothing=SmoothingConfig.model_validate({"kind": kind}))
    shaper, steady = (MotionShaper(config, (1.0, 2.0, 3.0), (0, 0, 0)) for _ in range(2))
    for _ in range(40):
        before = shaper((5.0, 6.0, 7.0))
        assert steady((5.0, 6.0, 7.0)) == before
    assert shaper((broken, 6.0, 7.0)) == pytest.approx(before, abs=0.1)
    for _ in range(90):
        after, expected = shaper((-4.0, 3.0, 2.0)), steady((-4.0, 3.0, 2.0))
    assert after == pytest.approx(expected, abs=0.01)
    ShaperState.model_validate_json(shaper.state.model_dump_json())


def test_a_pose_is_held_and_then_left_for_the_resting_pose() -> None:
    config = ListenerConfig(smoothing=SmoothingConfig(kind="none"), idle=IdleConfig(hold_s=0.5, decay_s=1.0))
    shaper = MotionShaper(config, (1.0, 2.0, 3.0), (0, 0, 0))
    for _ in range(30):
        last = shaper((11.0, -8.0, 3.0))
    assert shaper.idle(0.1) == shaper.idle(0.5) == last == (11.0, -8.0, 3.0)
    roll, pitch, yaw = shaper.idle(1.5)
    assert (roll, pitch, yaw) == pytest.approx((1 + 10 / math.e, 2 - 10 / math.e, 3))
    assert shaper.idle(60) != shaper((11.0, -8.0, 3.0))


def test_drawn_motion_spreads_as_told_and_follows_the_temperature() -> None:
    def spread(temperature: float) -> float:
        config = ListenerConfig.model_validate({"smoothing": {"kind": "none"}, "head": {"temperature": temperature}})
        shaper = MotionShaper(config, (0, 0, 0), (0.5, 0.5, 0.5), seed=1)
        return float(np.array([shaper((0.0, 0.0, 0.0), (2.0, 2.0, 2.0)) for _ in range(4000)]).std())

    assert spread(1.0) == pytest.approx(2, rel=0.1)
    assert spread(0.5) == pytest.approx(1, rel=0.1)
    assert spread(0.0) == 0


def test_a_seed_is_refused_where_nothing_can_be_drawn() -> None:
    config = ListenerConfig.model_validate({"head": {"kind": "point"}})
    with pytest.raises(RapportError, match=r"head\.kind is point"):
        MotionShaper(config, (0, 0, 0), (0, 0, 0), seed=0)


def test_the_state_is_json_and_does_not_turn_drawn_motion_into_told_motion() -> None:
    drawn = MotionShaper(ListenerConfig(), (0, 0, 0), (0.9, 0.9, 0.9), seed=2)
    drawn((1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    state = ShaperState.model_validate_json(drawn.state.model_dump_json())
    assert state == drawn.state
    told = MotionShaper(ListenerConfig(), (0, 0, 0), (0.9, 0.9, 0.9))
    with pytest.raises(RapportError, match="give the stream a seed"):
        told.resume(state)
