"""Streams: what the whole recording gives, in any pieces; nothing of the future; resumed, idle, abused and many at once."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.core.pose import PoseFrame
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.streaming import MotionStream, idle_many, push_many
from rapport.models.listener.token import pack, unpack
from tests.models.listener.conftest import make_model, speech

SPEECH = speech(4.0)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"ahead": 5},
    {"kind": "lstm_linear"},
    {"smoothing": {"kind": "ema"}, "front_end": {"frame_rate_hz": 47}},
    {"ahead": 2, "smoothing": {"kind": "none"}, "head": {"kind": "point"}, "front_end": {"frame_rate_hz": 60}},
]


def pieces(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def streamed(model: HeadMotionModel, parts: list[np.ndarray], seed: int | None = None) -> list[PoseFrame]:
    stream = MotionStream(model, seed)
    poses = [pose for part in parts for pose in stream.push(part)]
    return poses + stream.finish()


def angles(poses: list[PoseFrame]) -> np.ndarray:
    return np.array(poses).reshape(-1, 4)[:, 1:]


@pytest.mark.parametrize("settings", VARIANTS)
def test_any_cutting_gives_what_the_whole_recording_gives(settings: dict[str, Any]) -> None:
    model = make_model(**settings)
    whole = model.predict(SPEECH)
    assert whole.std() > 1
    rate_hz = model.config.front_end.frame_rate_hz
    for size in (97, 160, 1600, 3001, 20_000, len(SPEECH)):
        poses = streamed(model, pieces(SPEECH, size))
        np.testing.assert_allclose(angles(poses), whole, atol=1e-9)
        np.testing.assert_allclose([pose.time_s for pose in poses], (np.arange(len(whole)) + 1) / rate_hz)


def test_one_sample_at_a_time_gives_what_the_whole_recording_gives() -> None:
    model, samples = make_model(ahead=3), SPEECH[:12_000]
    np.testing.assert_allclose(angles(streamed(model, pieces(samples, 1))), model.predict(samples), atol=1e-9)


def test_drawn_motion_does_not_depend_on_the_cutting() -> None:
    model = make_model(ahead=1)
    whole = model.predict(SPEECH, seed=11)
    assert np.abs(whole - model.predict(SPEECH)).mean() > 0.5
    for size in (160, 3001):
        np.testing.assert_allclose(angles(streamed(model, pieces(SPEECH, size), seed=11)), whole, atol=1e-9)


@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize("at_s", [0.5, 2.0, 3.3])
def test_what_comes_after_the_look_ahead_changes_not_a_bit(ahead: int, at_s: float) -> None:
    model = make_model(ahead=ahead)
    other = SPEECH.copy()
    other[round((at_s + ahead / 30) * 16_000) :] = speech(4.0, seed=5)[round((at_s + ahead / 30) * 16_000) :]
    for size in (533, 4000):
        known, changed = (angles(streamed(model, pieces(samples, size))) for samples in (SPEECH, other))
        frames = round(at_s * 30)  # those up to the time itself
        assert known[:frames].tobytes() == changed[:frames].tobytes()
        assert (known[frames:] != changed[frames:]).any()
        # The frame after next may hear the change already: the look-ahead is no longer than it says.
        assert (known[frames : frames + 4] != changed[frames : frames + 4]).any()


def test_poses_come_as_soon_as_they_are_due() -> None:
    stream = MotionStream(make_model(ahead=2))
    assert stream.push(SPEECH[: 2 * 534]) == []
    assert [pose.time_s for pose in stream.push(SPEECH[2 * 534 : 1600])] == [1 / 30]
    assert [round(30 * pose.time_s) for pose in stream.finish()] == [2, 3]
    with pytest.raises(RapportError, match="the stream is finished"):
        stream.push(SPEECH)
    with pytest.raises(RapportError, match="the stream is finished"):
        stream.idle(9.0)


@pytest.mark.parametrize("settings", VARIANTS)
def test_many_streams_moved_together_give_what_each_gives_alone(settings: dict[str, Any]) -> None:
    model = make_model(**settings)
    clips = [speech(1.0 + 0.21 * i, seed=i) for i in range(6)]
    streams, found = [MotionStream(model) for _ in clips], [list[PoseFrame]() for _ in clips]
    rng = np.random.default_rng(0)
    places = [0] * len(clips)
    while any(place < len(clip) for place, clip in zip(places, clips, strict=True)):
        sizes = rng.choice([0, 160, 533, 700, 6000], len(clips))
        chunks = [clip[place : place + size] for clip, place, size in zip(clips, places, sizes, strict=True)]
        places = [place + len(chunk) for place, chunk in zip(places, chunks, strict=True)]
        for got, poses in zip(found, push_many(streams, chunks), strict=True):
            got += poses
    for clip, stream, got in zip(clips, streams, found, strict=True):
        np.testing.assert_allclose(angles(got + stream.finish()), model.predict(clip), atol=1e-9)


def test_single_precision_differs_by_rounding_alone() -> None:
    model = make_model(dtype=torch.float32)
    np.testing.assert_allclose(angles(streamed(model, pieces(SPEECH, 533))), model.predict(SPEECH), atol=1e-3)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("settings", VARIANTS[:3])
def test_a_token_resumes_exactly(settings: dict[str, Any], seed: int | None) -> None:
    model = make_model(**settings)
    first = MotionStream(model, seed)
    first.push(SPEECH[:20_017])
    first.idle(1.7)
    token = first.state()
    second = MotionStream(model, seed)
    second.push(speech(0.4, seed=8))
    second.restore(token)
    assert second.time_s == first.time_s == 1.7
    for part in (SPEECH[20_017:30_000], SPEECH[30_000:31_111], SPEECH[31_111:]):
        assert first.push(part) == second.push(part)
    assert first.idle(7.0) == second.idle(7.0)
    assert first.state() == second.state()
    assert first.finish() == second.finish()


def test_a_bad_token_is_refused_and_changes_nothing() -> None:
    model = make_model()
    stream = MotionStream(model)
    stream.push(SPEECH[:20_000])
    token = stream.state()
    other = make_model(limits={"speed_deg_s": 99})
    changes = [(b'"heard":20000', b'"heard":-2000'), (b'"smoother":[[', b'"smoother":[],"":[['), (b'"last":[', b'"last":[NaN,')]
    broken = [token.replace(*change) for change in changes]
    assert token not in broken
    for bad in (b"", b"no token", token[:-9], token + b"x", *broken, MotionStream(other).state(), MotionStream(model, 4).state()):
        with pytest.raises(RapportError, match="token"):
            stream.restore(bad)
    assert stream.state() == token


def test_without_audio_the_pose_is_held_and_then_goes_to_rest() -> None:
    model = make_model(idle={"hold_s": 0.5, "decay_s": 0.5}, smoothing={"kind": "none"})
    stream = MotionStream(model)
    last = stream.push(SPEECH[:16_000])[-1]
    held = stream.idle(1.5)
    assert [round(30 * pose.time_s) for pose in held] == list(range(31, 46))
    assert all(pose[1:] == last[1:] for pose in held)
    decayed = [pose for now in np.arange(1.5, 6.0, 0.04) for pose in stream.idle(float(now) + 0.04)]
    assert [round(30 * pose.time_s) for pose in decayed] == list(range(46, 46 + len(decayed)))
    away = np.abs(angles(decayed) - model.rest.numpy()).max(1)
    assert (np.diff(away) <= 1e-9).all()
    assert away[-1] < 0.01
    back = stream.push(SPEECH[16_000:])
    assert back[0].time_s == pytest.approx(stream.time_s - len(back) / 30 + 1 / 30, abs=1 / 30)
    assert np.abs(angles(back) - angles(decayed)[-1]).max() > 1


def test_clocks_that_jump_give_bounded_motion() -> None:
    model = make_model(ahead=2)
    stream = MotionStream(model)
    stream.push(SPEECH[:16_000])
    assert stream.idle(0.2) == stream.idle(-1e12) == []
    for now in (np.nan, np.inf):
        with pytest.raises(RapportError, match="wanted seconds since the stream began"):
            stream.idle(now)
    jumped = stream.idle(86_400.0)
    assert len(jumped) == 30
    assert jumped[-1].time_s == pytest.approx(86_400 - 2 / 30)
    assert np.abs(np.diff(angles(jumped), axis=0)).max() <= 300 / 30 + 1e-9
    np.testing.assert_allclose(angles(jumped)[-1], model.rest, atol=0.5)
    after = stream.push(SPEECH[16_000:20_000])
    assert after[0].time_s == pytest.approx(86_400 - 1 / 30)
    assert stream.time_s == 86_400.25


def test_a_long_idle_stream_goes_on_at_every_tick() -> None:
    stream = MotionStream(make_model(idle={"forget_s": 1.0}))
    stream.push(SPEECH[:16_000])
    poses = [pose for tick in range(1, 300) for pose in stream.idle(1.0 + tick / 30)]
    np.testing.assert_allclose(np.diff([pose.time_s for pose in poses]), 1 / 30)
    assert len(poses) == pytest.approx(299, abs=1)


def test_ten_minutes_of_silence_and_broken_audio_stay_finite_and_take_no_memory() -> None:
    model = make_model()
    stream = MotionStream(model, seed=0)
    stream.push(SPEECH)
    size = len(stream.state())
    silence = np.zeros(16_000, np.float32)
    poses = [pose for second in range(600) for pose in stream.push(silence if second % 3 else silence * np.nan)]
    assert len(poses) == 18_000
    motion = angles(poses)
    assert np.isfinite(motion).all()
    assert (np.abs(motion).max(0) <= model.config.limits.angles_deg).all()
    assert np.abs(np.diff(motion, axis=0)).max() <= model.config.limits.speed_deg_s / 30 + 1e-9
    assert len(stream.state()) <= size + 40  # a few more digits
    assert sys.getsizeof(stream._memory.values) < 100_000


def test_silent_audio_gives_the_same_motion_as_samples_that_are_not_finite() -> None:
    model = make_model()
    broken = SPEECH.copy()
    broken[20_000:30_000] = np.nan
    silent = np.where(np.isnan(broken), 0, broken).astype(np.float32)
    assert streamed(model, pieces(broken, 700)) == streamed(model, pieces(silent, 700))


def test_a_forged_token_moves_no_head_beyond_its_limits() -> None:
    stream = MotionStream(make_model())
    stream.push(SPEECH[:20_000])
    facts, arrays = unpack(stream.state(), {"tail": stream._features.tail, "memory": stream._memory.values})

    def forged(angle: float, memory: float) -> bytes:
        far = facts.shaper.model_copy(update={"last": (angle, 0.0, 0.0), "smoother": ((angle, 0.0, 0.0),) * 2})
        return pack(facts.model_copy(update={"shaper": far}), {name: array + memory for name, array in arrays.items()})

    before = stream.state()
    for angle, memory in ((1e300, 0.0), (-1e10, 0.0), (0.0, 3e38), (0.0, -1e10)):
        with pytest.raises(RapportError, match="token"):
            stream.restore(forged(angle, memory))
    assert stream.state() == before
    stream.restore(forged(9e8, 9e8))
    motion = angles(stream.push(SPEECH[20_000:]))
    assert np.isfinite(motion).all()
    assert (np.abs(motion) <= stream.model.config.limits.angles_deg).all()


def test_streams_that_are_idle_move_together() -> None:
    model = make_model()
    together, alone = ([MotionStream(model) for _ in range(4)] for _ in range(2))
    for streams in (together, alone):
        for index, stream in enumerate(streams):
            stream.push(SPEECH[: 4000 * index])
    now_s = [0.5, 0.2, 30.0, 1.0]
    for found, stream, now in zip(idle_many(together, now_s), alone, now_s, strict=True):
        wanted = stream.idle(now)
        assert [pose.time_s for pose in found] == [pose.time_s for pose in wanted]
        np.testing.assert_allclose(angles(found), angles(wanted), atol=1e-9)


def test_streams_that_do_not_belong_together_are_refused() -> None:
    one, other = MotionStream(make_model()), MotionStream(make_model())
    for streams in ([one, one], [one, other]):
        with pytest.raises(RapportError, match="streams of one model, each named once"):
            push_many(streams, [SPEECH, SPEECH])
    assert push_many([], []) == idle_many([], []) == []


def test_a_bad_chunk_moves_no_stream() -> None:
    model = make_model()
    streams = [MotionStream(model), MotionStream(model)]
    with pytest.raises(RapportError, match="wanted floating point"):
        push_many(streams, [SPEECH, np.zeros(100, np.int16)])
    assert [stream.time_s for stream in streams] == [0, 0]


def test_models_that_cannot_stream_are_refused() -> None:
    with pytest.raises(RapportError, match=r"set front_end\.kind to causal and network\.kind to tcn or lstm_linear"):
        MotionStream(make_model("faithful", head={"kind": "point"}))
    with pytest.raises(RapportError, match=r"call model\.eval\(\)"):
        MotionStream(make_model().train())
    with pytest.raises(RapportError, match="seed is 1"):
        MotionStream(make_model(head={"kind": "point"}), seed=1)
