import io

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from rapport.core.errors import RapportError
from rapport.ray_jobs.reports.motion_video import motion_gif, motion_mp4

SMALL = 64


def nod(seconds=1.0, rate_hz=30):
    times = np.arange(1, round(seconds * rate_hz) + 1) / rate_hz
    return np.stack([0 * times, 25 * np.sin(2 * np.pi * times), 0 * times], axis=1)


def pictures(film):
    with av.open(io.BytesIO(film), "r") as file:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]


def test_film_has_a_frame_for_each_moment_and_an_even_size():
    film = motion_mp4({"truth": nod(), "a prediction with a long name": nod()}, 30, title="A turn", frames_per_s=10, head_px=SMALL)
    frames = pictures(film)
    assert len(frames) == 10
    height, width, _ = frames[0].shape
    assert width % 2 == height % 2 == 0
    assert width >= 2 * SMALL
    assert height > SMALL
    with av.open(io.BytesIO(film), "r") as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.video[0].average_rate == 10
        assert not file.streams.audio


def test_heads_move_and_a_still_one_does_not():
    frames = pictures(motion_mp4({"nods": nod(), "rests": 0 * nod()}, 30, frames_per_s=4, head_px=SMALL))
    first, second = frames[1], frames[3]
    rows, middle = slice(16, 70), first.shape[1] // 2
    moved = np.abs(first - second)[rows]
    assert moved[:, :middle].max() > 100
    assert moved[:, middle + 4 :].max() < 40


def test_sound_is_in_the_film_and_ends_with_it():
    samples = 0.5 * np.sin(np.arange(8_000) / 7).astype(np.float32)
    film = motion_mp4({"truth": nod()}, 30, samples, frames_per_s=10, head_px=SMALL)
    with av.open(io.BytesIO(film), "r") as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert len(heard) == pytest.approx(16_000, abs=2_100)
    assert np.sqrt(np.mean(heard[1_000:7_000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert np.abs(heard[12_000:]).max() < 0.05


def test_film_lasts_as_long_as_speech_that_outlasts_the_motion():
    film = motion_mp4({"truth": nod(0.5)}, 30, np.zeros(16_000, np.float32), frames_per_s=10, head_px=SMALL)
    assert len(pictures(film)) == 10


def test_gif_keeps_the_pace_of_the_motion_and_repeats():
    film = Image.open(io.BytesIO(motion_gif({"truth": nod()}, 30, frames_per_s=12, head_px=SMALL)))
    frames = [(frame.info["duration"], np.asarray(frame.convert("RGB"), int)) for frame in ImageSequence.Iterator(film)]
    assert film.info["loop"] == 0
    # 12 frames a second are 83 ms each, which the format rounds to 80.
    assert {wait for wait, _ in frames} == {80}
    assert len(frames) == 13
    assert np.abs(frames[3][1] - frames[9][1]).max() > 100


@pytest.mark.parametrize("write", [motion_mp4, motion_gif])
def test_a_single_frame_makes_a_film(write):
    assert len(write({"truth": nod()[:1]}, 30, head_px=SMALL)) > 500


@pytest.mark.parametrize("write", [motion_mp4, motion_gif])
def test_what_cannot_be_shown_is_refused(write):
    with pytest.raises(RapportError, match=r"wanted \[T, 3\]"):
        write({"truth": np.zeros((0, 3))}, 30)


def test_an_ffmpeg_without_the_encoder_is_told_of(monkeypatch):
    monkeypatch.setattr("rapport.ray_jobs.reports.motion_video._ENCODER", "no_such_encoder")
    with pytest.raises(RapportError, match=r"no encoder no_such_encoder.*motion_gif"):
        motion_mp4({"truth": nod()}, 30, head_px=SMALL)
