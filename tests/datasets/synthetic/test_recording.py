"""From a voice to a recording."""

import numpy as np
import pytest

from rapport.core.audio import SAMPLE_RATE_HZ, rms_db
from rapport.datasets.synthetic.recording import coloured_noise, record
from rapport.datasets.synthetic.speakers import Microphone

TONE = 0.1 * np.sin(2 * np.pi * 300 * np.arange(22_050) / 22_050)
RNG = np.random.default_rng


def test_a_recording_has_silence_around_the_words_and_a_room_in_the_silence() -> None:
    made = record(TONE, 22_050, Microphone(gain_db=0, tilt_db=0, noise_db=-60), RNG(0), silence_s=(0.2, 0.4))
    assert made.dtype == np.float32
    assert 1.4 <= len(made) / SAMPLE_RATE_HZ <= 1.8
    assert rms_db(made[:3000]) == pytest.approx(-60, abs=2)
    assert rms_db(made[8000:16_000]) == pytest.approx(rms_db(TONE), abs=0.5)


def test_gain_makes_it_louder_but_never_clips() -> None:
    quiet, loud = (record(TONE, 22_050, Microphone(gain, 0, -80), RNG(0)) for gain in (0, 12))
    assert rms_db(loud) - rms_db(quiet) == pytest.approx(12, abs=0.5)
    assert np.abs(record(TONE, 22_050, Microphone(40, 0, -80), RNG(0))).max() < 1


def test_noise_falls_by_its_slope_in_each_octave() -> None:
    noise = coloured_noise(160_000, RNG(0), slope_db=-6)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = (10 * np.log10(power[band].mean()) for band in (slice(4900, 5100), slice(9800, 10_200)))
    assert low - high == pytest.approx(6, abs=1)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1)
