"""Kokoro behind the interface of all voices. Its own code runs with random weights, where it is installed."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.core.speech import Voice, prosody_of
from rapport.models.backends.synthesizers import load_synthesizer
from rapport.models.backends.tts.kokoro import RATE_HZ, shift

installed = pytest.mark.skipif(find_spec("kokoro") is None, reason="kokoro is not installed")

FORMANTS_HZ = (700, 1220, 2600)


def vowel(pitch_hz: float = 120.0, seconds: float = 2.0) -> np.ndarray:
    time_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    sound = np.zeros(len(time_s))
    for harmonic in range(1, int(RATE_HZ / 2 / pitch_hz)):
        level = sum(1 / (1 + ((harmonic * pitch_hz - formant) / 90) ** 2) for formant in FORMANTS_HZ)
        sound += level * np.sin(2 * np.pi * harmonic * pitch_hz * time_s + harmonic)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def pitch_of(samples: np.ndarray) -> float:
    middle = samples[RATE_HZ // 2 : RATE_HZ]
    wave = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    return RATE_HZ / (50 + int(wave[50:400].argmax()))


def resonance_of(samples: np.ndarray) -> float:
    """The third one: its harmonics lie close enough to tell."""
    spectrum = np.abs(np.fft.rfft(samples[RATE_HZ // 2 : 3 * RATE_HZ // 2] * np.hanning(RATE_HZ)))
    return 1900 + float(np.convolve(spectrum, np.ones(250) / 250, "same")[1900:4200].argmax())


def test_pitch_moves_and_resonances_stay() -> None:
    moved = shift(vowel(), 6.0, 1.0)
    assert len(moved) == len(vowel())
    assert pitch_of(moved) == pytest.approx(120 * 2**0.5, rel=0.03)
    assert resonance_of(moved) == pytest.approx(2600, rel=0.05)


def test_resonances_move_and_pitch_stays() -> None:
    moved = shift(vowel(), 0.0, 1.2)
    assert pitch_of(moved) == pytest.approx(120, rel=0.03)
    assert resonance_of(moved) == pytest.approx(1.2 * 2600, rel=0.06)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("rapport.models.backends.tts.kokoro.version", missing)
    with pytest.raises(RapportError, match=r"pip install 'rapport\[kokoro\]'"):
        load_synthesizer("kokoro")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kokoro's files with random weights, in the layout and, but for its text encoder, small enough to speak at once."""
    import torch
    from kokoro import KModel

    folder = tmp_path_factory.mktemp("kokoro")
    (folder / "voices").mkdir()
    upsampling = {"upsample_kernel_sizes": [20, 12], "upsample_rates": [10, 6], "gen_istft_hop_size": 5, "gen_istft_n_fft": 20}
    blocks = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]], "upsample_initial_channel": 512}
    bert = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 512, "num_hidden_layers": 1}
    config = {
        "istftnet": upsampling | blocks,
        "plbert": bert,
        **{"hidden_dim": 512, "style_dim": 128, "n_layer": 1, "max_dur": 4, "dropout": 0.2, "n_token": 178, "n_mels": 80},
        "text_encoder_kernel_size": 5,
        "vocab": {chr(code): code % 177 + 1 for code in [*range(32, 127), *range(592, 720)]},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(0)
    torch.save({}, folder / "tiny.pth")
    model = KModel(repo_id="tiny", config=str(folder / "config.json"), model=str(folder / "tiny.pth"))
    parts = ("bert", "bert_encoder", "predictor", "decoder", "text_encoder")
    torch.save({part: getattr(model, part).state_dict() for part in parts}, folder / "tiny.pth")
    for name in ("ef_dora", "em_alex"):
        torch.save(torch.randn(510, 1, 256), folder / "voices" / f"{name}.pt")
    return folder


@installed
def test_a_folder_speaks_through_kokoros_own_code(folder: Path) -> None:
    engine = load_synthesizer(f"kokoro:{folder}")
    assert engine.voices == {"female": ("ef_dora",), "male": ("em_alex",)}
    assert engine.provenance["engine"] == "kokoro"
    plain, rate_hz = engine.speak("Hola, buenos dias.", Voice("ef_dora"))
    assert rate_hz == RATE_HZ
    assert plain.dtype == np.float32
    assert np.isfinite(plain).all()
    assert 0 < np.abs(plain).max() <= 1
    assert np.array_equal(plain, engine.speak("Hola, buenos dias.", Voice("ef_dora"))[0])
    assert len(engine.speak("Hola, buenos dias.", Voice("ef_dora", tempo=2.0))[0]) < len(plain)
    for emotion in ("angry", "sad"):
        acted = engine.speak("Hola, buenos dias.", Voice("em_alex"), prosody_of(emotion))[0]
        assert np.isfinite(acted).all()


@installed
def test_what_cannot_be_spoken_is_refused(folder: Path, tmp_path: Path) -> None:
    engine = load_synthesizer(f"kokoro:{folder}")
    with pytest.raises(RapportError, match="ef_dora"):
        engine.speak("Hola.", Voice("hal"))
    with pytest.raises(RapportError, match="characters"):
        engine.speak(" ", Voice("ef_dora"))
    with pytest.raises(RapportError, match=r"\.pth"):
        load_synthesizer(f"kokoro:{tmp_path}")
    with pytest.raises(RapportError, match="hub id"):
        load_synthesizer("kokoro:nobody/nothing")
