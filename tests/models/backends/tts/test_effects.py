"""Operations on the waveform that render what an engine cannot."""

import numpy as np
import pytest

from rapport.core.speech import Prosody
from rapport.models.backends.tts import _effects

RATE_HZ = 22_050
TIME_S = np.arange(RATE_HZ) / RATE_HZ
TONE = (0.3 * np.sin(2 * np.pi * 200 * TIME_S) + 0.1 * np.sin(2 * np.pi * 3000 * TIME_S)).astype(np.float32)


def apply(prosody: Prosody, samples: np.ndarray = TONE) -> np.ndarray:
    return _effects.apply(samples, RATE_HZ, prosody, np.random.default_rng(0))


def power(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(spectrum[(hz >= low_hz) & (hz < high_hz)].sum())


def balance_db(samples: np.ndarray) -> float:
    return 10 * np.log10(power(samples, 1000, 10_000) / power(samples, 0, 1000))


def test_level_is_that_of_the_speaking_parts() -> None:
    half_silent = np.concatenate([TONE, np.zeros_like(TONE)])
    levelled = _effects.set_level(half_silent, RATE_HZ, -26.0)
    assert 10 * np.log10(np.mean(levelled[: len(TONE)] ** 2)) == pytest.approx(-26, abs=0.3)


def test_effort_moves_energy_above_1_khz() -> None:
    assert balance_db(apply(Prosody(effort_db=8))) - balance_db(apply(Prosody())) == pytest.approx(8, abs=1)
    assert balance_db(apply(Prosody(effort_db=-6))) < balance_db(apply(Prosody())) - 4


def test_a_glide_rises_and_keeps_length() -> None:
    bent = apply(Prosody(glide_st=4), np.sin(2 * np.pi * 200 * TIME_S))
    assert len(bent) == len(TIME_S)
    quarter = len(bent) // 4
    crossings = [np.count_nonzero(np.diff(np.sign(part))) for part in (bent[:quarter], bent[-quarter:])]
    assert crossings[1] > 1.1 * crossings[0]


def test_breath_adds_noise_between_the_tones() -> None:
    assert power(apply(Prosody(breath=0.5)), 4000, 8000) > 100 * power(apply(Prosody()), 4000, 8000)


@pytest.mark.parametrize("shaken", [Prosody(tremor=1.0), Prosody(roughness=1.0)])
def test_shaking_makes_loudness_vary(shaken: Prosody) -> None:
    def spread(samples: np.ndarray) -> float:
        frames = np.square(samples[: len(samples) // 110 * 110].reshape(-1, 110)).mean(axis=1)
        return float(np.std(frames) / np.mean(frames))

    assert spread(apply(shaken)) > spread(apply(Prosody())) + 0.2


@pytest.mark.parametrize("samples", [np.zeros(1, np.float32), np.zeros(5000, np.float32)])
def test_silence_stays_silence(samples: np.ndarray) -> None:
    assert not apply(Prosody(1, 1, 2, 1, 0, 20, 8, 1, 0.5, 0.5, 0.5), samples).any()
