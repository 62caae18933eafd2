"""A short training on made dyads: what it learns of them holds for a session that it has not heard."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.motion_clock import frame_times_s
from rapport.core.pose import resample
from rapport.core.voice_signals import SIGNALS
from rapport.datasets.synthetic.head_motion import LAGS_S, MOTION_RATE_HZ, POSE_SPREAD_DEG, head_motion
from rapport.models.listener.baselines import BASELINES, mean_pose
from rapport.models.listener.config import FrontEndConfig, ListenerConfig
from rapport.models.listener.front_end import load_front_end
from rapport.models.listener.model import HeadMotionModel
from rapport.ray_jobs.listener_evaluation.motions import silent_rows, stretch
from rapport.ray_jobs.listener_evaluation.voice import PLANTED, voice_signals
from rapport.training.motion import MotionData, train_motion
from rapport.training.motion_config import MotionConfig
from rapport.training.motion_metrics import MotionTally
from rapport.training.motion_pairs import MotionPair
from rapport.training.motion_turns import Turns

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RATE_HZ = 30
TURNS_A_LISTENER = 14
FRONT_END = load_front_end(FrontEndConfig(frame_rate_hz=RATE_HZ))

Floats = npt.NDArray[np.floating]
Rivals = dict[str, Callable[["Turn"], Floats]]


class Turn(NamedTuple):
    """One turn of a dyad."""

    name: str
    listener: str
    samples: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    degrees: npt.NDArray[np.float32]


def voice(draw: np.random.Generator, seconds: float, middle_hz: float) -> npt.NDArray[np.float32]:
    """[S] syllables of changing loudness and pitch, with pauses: what a synthesizer says, at no cost."""
    spoken: list[npt.NDArray[np.floating]] = []
    phase = 0.0
    while sum(map(len, spoken)) < seconds * SAMPLE_RATE_HZ:
        for _ in range(int(draw.integers(3, 9))):
            count = int(draw.uniform(0.12, 0.3) * SAMPLE_RATE_HZ)
            start, end = middle_hz * 2 ** draw.uniform(-0.5, 0.5, 2)
            track = phase + 2 * np.pi * np.cumsum(np.geomspace(start, end, count)) / SAMPLE_RATE_HZ
            phase = float(track[-1])
            buzz = sum(np.sin(k * track) / k for k in range(1, 8))
            spoken.append(10 ** draw.uniform(-1.7, -0.6) * np.hanning(count) ** 0.5 * buzz)
        spoken.append(np.zeros(int(draw.uniform(0.3, 1.2) * SAMPLE_RATE_HZ)))
    sound = np.concatenate(spoken)[: round(seconds * SAMPLE_RATE_HZ)]
    return (sound + draw.normal(0, 3e-4, len(sound))).astype(np.float32)


def turns_of(session: int) -> list[Turn]:
    """The turns of a session, in which two take turns at listening, each with a voice and a pose of their own."""
    made = []
    for person in range(2):
        draw = np.random.default_rng([session, person])
        pose_deg, middle_hz = draw.normal(0, POSE_SPREAD_DEG, 3), 160 * 2 ** draw.uniform(-0.5, 0.5)
        for number in range(TURNS_A_LISTENER):
            samples = voice(draw, draw.uniform(5, 9), middle_hz)
            features = FRONT_END.features(samples)
            rows = head_motion(samples, np.zeros_like(samples), pose_deg, draw)
            degrees = resample(np.arange(len(rows)) / MOTION_RATE_HZ, rows, frame_times_s(len(features), RATE_HZ))
            name = f"session{session}-{person}-{number}"
            made.append(Turn(name, f"listener {session}-{person}", samples, features, degrees.astype(np.float32)))
    return made


def side(turns: list[Turn]) -> Turns:
    by_name = {turn.name: (turn.features, turn.degrees) for turn in turns}
    return Turns(list(by_name), np.array([len(turn.features) for turn in turns]), by_name.__getitem__)


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, float]]:
    """Figures on the last session, of a model trained on the first ones and of all that it has to beat."""
    *train, validation, test = (turns_of(session) for session in range(5))
    known = [turn for turns in train for turn in turns]
    torch.manual_seed(0)
    settings = {"network": {"tcn": {"width": 48, "dropout": 0, "dilations": (1, 2, 4, 8, 16)}}, "smoothing": {"kind": "none"}}
    model = HeadMotionModel(ListenerConfig.model_validate(settings), front_end=FRONT_END)
    train_motion(model, MotionData(side(known), side(validation)), MotionConfig(epochs=14, batch_size=8, ema_decay=0.9))
    model.eval()
    middle = mean_pose(turn.degrees for turn in known)
    silence = silent_rows(FRONT_END.features, max(len(turn.features) for turn in test), RATE_HZ)

    def another(turn: Turn) -> Turn:
        return known[sum(map(ord, turn.name)) % len(known)]

    rivals: Rivals = {
        "model": lambda turn: model.predict_features(turn.features) + middle,
        "silence": lambda turn: model.predict_features(silence[: len(turn.features)]) + middle,
        "other motion": lambda turn: stretch(another(turn).degrees, len(turn.degrees), turn.name, 0),
        "mean_pose": lambda turn: BASELINES["mean_pose"](turn.degrees, middle),
        "start_pose": lambda turn: BASELINES["start_pose"](turn.degrees, middle),
        "running_mean": lambda turn: BASELINES["running_mean"](turn.degrees, middle),
    }
    found = {}
    for name, moved in rivals.items():
        tally = MotionTally(RATE_HZ, SIGNALS)
        for turn in test:
            signals = voice_signals(turn.samples, len(turn.degrees), RATE_HZ)
            given = np.asarray(moved(turn), np.float64)
            tally.add([MotionPair(turn.name, turn.listener, turn.degrees.astype(np.float64), given, signals)])
        found[name] = {key: figure["value"] for key, figure in tally.report(resamples=2)["figures"].items()}
    return found


@pytest.mark.parametrize("rival", ["silence", "other motion", "mean_pose", "start_pose", "running_mean"])
def test_a_listener_beats_motion_that_does_not_listen(figures: dict[str, dict[str, float]], rival: str) -> None:
    own, other = figures["model"], figures[rival]
    assert own["offset_removed_mae_deg"] < 0.85 * other["offset_removed_mae_deg"]
    assert own["lagged_correlation"] > 0.5
    assert own["lagged_correlation"] > other.get("lagged_correlation", 0) + 0.2


def test_it_moves_when_the_listener_does(figures: dict[str, dict[str, float]]) -> None:
    assert abs(figures["model"]["lag_s"]) <= 2.01 / RATE_HZ


@pytest.mark.parametrize("angle", ["roll", "pitch", "yaw"])
def test_the_lag_that_was_planted_is_learned(figures: dict[str, dict[str, float]], angle: str) -> None:
    assert figures["model"][f"{PLANTED[angle]}_{angle}_lag_s"] == pytest.approx(LAGS_S[angle], abs=2.01 / RATE_HZ)
