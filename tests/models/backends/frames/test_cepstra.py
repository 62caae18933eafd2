import numpy as np
import pytest

from rapport.core import plugins
from rapport.models.backends.frames.cepstra import PROSODY, CepstraEncoder, PitchFinder
from rapport.models.units.config import CepstraConfig, FrameConfig

RATE = 16_000


def voice(pitch_hz: float, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    """A buzz with falling harmonics, after a moment of faint noise."""
    t = np.arange(round(RATE * seconds)) / RATE
    noise = np.random.default_rng(0).normal(0, 1e-4, len(t))
    return (level * sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 12)) + noise).astype(np.float32)


def prosody(frames: np.ndarray, name: str) -> np.ndarray:
    return frames[:, frames.shape[1] - len(PROSODY) + PROSODY.index(name)]


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (400, 1), (719, 1), (720, 2), (1_040, 3), (32_000, 99)])
def test_frames_lie_where_those_of_hubert_lie(samples: int, frames: int) -> None:
    encoder = plugins.load("models.backends.frames", "cepstra").load(FrameConfig())
    (found,) = encoder.encode([np.zeros(samples, np.float32)])
    assert found.shape == (frames, encoder.width)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert encoder.hop_s == 0.02


def test_a_clip_does_not_see_its_neighbours() -> None:
    encoder = CepstraEncoder()
    short, long = voice(120, 0.4), voice(220, 1.3)
    np.testing.assert_array_equal(encoder.encode([short, long])[0], encoder.encode([short])[0])


@pytest.mark.parametrize("pitch_hz", [80, 120, 200, 310, 440])
def test_pitch_is_found(pitch_hz: float) -> None:
    octaves, _, span, voicing = PitchFinder().track(voice(pitch_hz), 49)
    assert 160 * 2 ** np.median(octaves) == pytest.approx(pitch_hz, rel=0.01)
    assert voicing[2:-2].min() > 0.9
    assert span.max() < 0.02


def test_noise_has_no_voice() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert np.mean(PitchFinder().track(noise, 49)[3] > 0.45) < 0.1


def test_sounds_stay_and_level_changes_when_a_clip_is_louder() -> None:
    encoder = CepstraEncoder()
    soft, loud = encoder.encode([voice(150, level=0.02), voice(150, level=0.2)])
    sounds = encoder.width - len(PROSODY)
    assert np.abs(soft[2:-2, :sounds] - loud[2:-2, :sounds]).mean() < 0.1
    assert (prosody(loud, "level") - prosody(soft, "level")).mean() == pytest.approx(20 / 13 * CepstraConfig().prosody_weight, rel=0.05)


def test_prosody_weighs_as_told() -> None:
    plain, heavy = (CepstraEncoder(CepstraConfig(prosody_weight=w)).encode([voice(150)])[0] for w in (0.3, 0.6))
    np.testing.assert_allclose(prosody(heavy, "pitch"), 2 * prosody(plain, "pitch"), rtol=1e-5)


def test_settings_are_the_identity() -> None:
    assert CepstraEncoder().provenance == CepstraEncoder(CepstraConfig()).provenance
    assert CepstraEncoder().provenance != CepstraEncoder(CepstraConfig(bands=32)).provenance
