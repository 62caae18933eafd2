"""What is given for each turn, by models and by what needs no listening."""

from typing import Any

import numpy as np
import pytest
import torch

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.datasets.listener.build import MotionStore, open_motion
from rapport.datasets.synthetic.head_motion import LAGS_S, listening
from rapport.models.listener.baselines import mean_pose
from rapport.models.listener.pretrained import from_pretrained
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.listener_evaluation.motions import Fold, baseline_motions, model_motions, partner, stretch
from rapport.ray_jobs.listener_evaluation.subject import Subject, choose_subject
from rapport.ray_jobs.listener_evaluation.voice import PLANTED, SIGNALS, voice_signals
from rapport.training.motion_metrics import MotionTally
from rapport.training.motion_pairs import MotionPair
from tests.ray_jobs.listener_evaluation.conftest import Toy
from tests.ray_jobs.listener_evaluation.toy import make_model


@pytest.fixture(scope="module")
def subject(toy: Toy) -> Subject:
    return choose_subject(EvaluateListenerConfig(storage=str(toy.root), models=("causal",)))


@pytest.fixture(scope="module")
def fold(subject: Subject) -> Fold:
    return subject.folds["session1"]


@pytest.fixture(scope="module")
def store(toy: Toy) -> MotionStore:
    return open_motion(toy.features)


def test_relative_motion_is_counted_from_the_mean_pose_of_the_training_turns(subject: Subject, fold: Fold, store: MotionStore) -> None:
    middle = mean_pose(store.get(turn)[1] for turn in fold.train)
    folder = subject.contenders[0].runs["session1"][0]
    given = model_motions(folder, store, fold, middle, ("heard", "drawn", "silence", "other_voice"), seed=0)
    model = from_pretrained(folder)
    for turn in fold.test:
        features, truth = store.get(turn)
        assert np.allclose(given["heard"][turn], model.predict_features(features) + middle, atol=1e-4)
        assert all(motions[turn].shape == truth.shape and motions[turn].dtype == np.float32 for motions in given.values())
    turn = fold.test[0]
    assert np.ptp(given["silence"][turn][-5:], axis=0).max() < 1e-3, "nothing to hear, nothing to follow"
    assert all(np.abs(given[kind][turn] - given["heard"][turn]).max() > 0.05 for kind in ("drawn", "silence", "other_voice"))
    again = model_motions(folder, store, fold, middle, ("drawn",), seed=0)
    assert all(np.array_equal(again["drawn"][turn], given["drawn"][turn]) for turn in fold.test)


def test_a_published_network_is_judged_by_its_own_motion(fold: Fold, store: MotionStore, toy: Toy) -> None:
    settings: dict[str, Any] = {"network": {"kind": "faithful"}, "head": {"kind": "point"}, "normalise": False, "pose": "absolute"}
    settings["limits"] = {"angles_deg": (0.01, 0.01, 0.01)}
    folder = make_model(toy.root, "published", toy.features, **settings)
    model = from_pretrained(folder)
    given = model_motions(folder, store, fold, np.zeros(3), ("heard",), seed=0)["heard"]
    for turn in fold.test:
        features, _ = store.get(turn)
        with torch.no_grad():
            told = model(torch.from_numpy(features).double()[None], torch.tensor([len(features)])).mean[0]
        assert np.allclose(given[turn], told, atol=1e-4)
        assert np.abs(given[turn]).max() > 0.02
        assert np.abs(model.predict_features(features)).max() <= 0.01, "what is given stays within the limits"


def test_baselines_know_what_they_may_know(fold: Fold, store: MotionStore) -> None:
    middle = mean_pose(store.get(turn)[1] for turn in fold.train)
    given = baseline_motions(store, fold, middle, ("mean_pose", "start_pose", "running_mean", "other_motion"), seed=0)
    turn = fold.test[0]
    truth = store.get(turn)[1]
    assert np.allclose(given["mean_pose"][turn], middle, atol=1e-4)
    assert np.allclose(given["start_pose"][turn], truth[0], atol=1e-4)
    assert np.allclose(given["running_mean"][turn][2], truth[:2].mean(0), atol=1e-4)
    moved = given["other_motion"][turn]
    known = np.concatenate([store.get(other)[1] for other in fold.train])
    assert (np.abs(known[:, None] - moved[None, :3]).max(-1).min(0) < 1e-6).all(), "true motion of a turn that was trained on"


def test_a_partner_is_of_another_dialogue_and_long_enough_where_there_is_one(fold: Fold, store: MotionStore) -> None:
    for turn in fold.test:
        other = partner(turn, fold.test, fold, store, seed=0)
        assert fold.dialogue_of[other] != fold.dialogue_of[turn]
        longest = max(store.lengths(t)[0] for t in fold.test if fold.dialogue_of[t] != fold.dialogue_of[turn])
        assert store.lengths(other)[0] >= min(longest, store.lengths(turn)[0])
        assert other == partner(turn, fold.test, fold, store, seed=0)


def test_a_stretch_is_a_part_or_goes_to_and_fro() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    part = stretch(rows, 4, "a", seed=0)
    assert part.shape == (4, 2)
    assert (np.diff(part[:, 0]) == 2).all()
    there_and_back = stretch(rows, 20, "a", seed=0)
    assert there_and_back.shape == (20, 2)
    assert np.abs(np.diff(there_and_back[:, 0])).max() == 2


@pytest.mark.parametrize("rate_hz", [25, 30, 60])
def test_planted_lags_are_found_to_the_frame(rate_hz: int) -> None:
    draw = np.random.default_rng(0)
    tally = MotionTally(rate_hz, SIGNALS)
    for number in range(6):
        times_s = np.arange(8 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        # Syllables of changing loudness and pitch, with pauses.
        loud = np.repeat(draw.uniform(0.0, 1, 32) * (draw.uniform(size=32) > 0.35), len(times_s) // 32)
        pitch_hz = np.repeat(160 * 2 ** draw.uniform(-0.6, 0.6, 16), len(times_s) // 16)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
        samples = (0.2 * loud * sum(np.sin(k * phase) / k for k in range(1, 6))).astype(np.float32)
        frames = len(samples) * rate_hz // SAMPLE_RATE_HZ
        pose = listening(samples)[np.minimum((np.arange(frames) + 1) * 120 // rate_hz, 8 * 120 - 1)]
        tally.add([MotionPair(str(number), None, pose, pose, voice_signals(samples, frames, rate_hz))])
    found = tally.report(resamples=2)["figures"]
    for angle, signal in PLANTED.items():
        assert found[f"{signal}_{angle}_lag_s"]["value"] == pytest.approx(LAGS_S[angle], abs=1.01 / rate_hz), angle
        assert abs(found[f"{signal}_{angle}_correlation"]["value"]) > 0.6
