import numpy as np
import pytest

from rapport.core.voice_signals import SIGNALS, SIGNALS_HZ, heard


def tone(seconds: float, hz: float, level: float = 0.3) -> np.ndarray:
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    wave = sum(np.sin(2 * np.pi * k * hz * time_s) / k for k in range(1, 8))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * 16_000), np.float32)


@pytest.mark.parametrize("hz", [90.0, 160.0, 210.0, 320.0])
def test_a_voice_is_heard_as_speech_loudness_and_octaves(hz: float) -> None:
    signals = dict(zip(SIGNALS, heard(np.concatenate([silence(0.5), tone(1, hz), silence(0.5)])).T, strict=True))
    voiced, before, after = slice(72, 168), slice(0, 55), slice(216, 240)
    assert np.all(signals["speech"][voiced] == 1)
    np.testing.assert_allclose(signals["f0"][voiced], np.log2(hz / 160), atol=0.06)
    assert np.all(signals["loudness"][voiced] > 0.5)
    for signal in signals.values():
        assert not signal[before].any()
        assert not signal[after].any()


def test_a_row_is_there_for_each_time_within_the_voice() -> None:
    assert heard(silence(1.0)).shape == (SIGNALS_HZ, len(SIGNALS))
    assert heard(silence(0)).shape == (0, len(SIGNALS))
