"""Kokoro, a neural voice of 82 M parameters: `pip install 'rapport[kokoro]'`. Weights by hub id, or from a folder that holds its files.

    config.json  *.pth  voices/*.pt

Kokoro keeps its weights in PyTorch files; its own loader reads them with `weights_only`, which builds tensors and runs nothing. English is
turned into sounds with spaCy's model `en_core_web_sm`. Tempo is Kokoro's own; what else an emotion asks for is made on the waveform.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import irfft, rfft
from scipy.signal import ShortTimeFFT

from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice
from rapport.models.backends.tts import _effects

RATE_HZ = 24_000
"""What it makes."""
MAX_CHARACTERS = 5_000
"""Longer text is refused: about six minutes of speech."""
PUBLISHED = "hexgrad/Kokoro-82M"
_SPEEDS = (0.5, 2.0)  # beyond these words are lost
_ENGLISH = "ab"
_FRAME = 1024  # 43 ms: two periods of the deepest voice
_SMOOTH = 34  # cepstral coefficients, 1.4 ms: an envelope that follows no harmonic up to 700 Hz
_MOST_GAIN = 3.5  # nepers, 30 dB

# The English voices of the published model; a name begins with its language (a American, b British) and its gender.
_VOICES = (
    *("af_heart", "af_alloy", "af_aoede", "af_bella", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sarah", "af_sky"),
    *("am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck", "am_santa"),
    *("bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george", "bm_lewis"),
)


def load(source: str = PUBLISHED, *, device: str = "auto") -> "Kokoro":
    """The engine with the weights of a hub id or of a folder; `device` is a torch device, or `auto`.

    Raises RapportError when Kokoro is not installed, or its files cannot be found.
    """
    return Kokoro(source, device)


class Kokoro:
    """A `rapport.core.speech.Synthesizer`."""

    def __init__(self, source: str = PUBLISHED, device: str = "auto") -> None:
        import torch

        kokoro = _package()
        self._source = source
        self._folder = Path(source).expanduser() if Path(source).expanduser().is_dir() else None
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._model = self._load(kokoro.KModel).to(where).eval()
        # A language needs a reader of its own, and all share the model.
        self._pipeline = lru_cache(maxsize=None)(self._make_pipeline)

    @property
    def provenance(self) -> Mapping[str, str]:
        """Name and version of the engine, and where its weights lie."""
        return {"engine": "kokoro", "version": version("kokoro"), "weights": self._source}

    @property
    def voices(self) -> Mapping[str, tuple[str, ...]]:
        """The voices of the folder, or the published English ones."""
        names = _VOICES if self._folder is None else sorted(p.stem for p in (self._folder / "voices").glob("*.pt"))
        return {gender: tuple(n for n in names if n[1:2] == gender[0]) for gender in ("female", "male")}

    def speak(self, text: str, voice: Voice, prosody: Prosody | None = None, *, seed: int = 0) -> tuple[np.ndarray, int]:
        """Speech, float32 [S] in [-1, 1], and its sample rate in Hz.

        The span of the intonation and pauses between words are Kokoro's own. Raises RapportError for an unknown voice, and for text that
        is empty or too long.
        """
        if not text.strip() or len(text) > MAX_CHARACTERS:
            raise RapportError(f"text has {len(text)} characters, the voice speaks 1 to {MAX_CHARACTERS}")
        known = [name for names in self.voices.values() for name in names]
        if voice.name not in known:
            raise RapportError(f"kokoro has no voice {voice.name!r}: take one of {', '.join(known)}")
        prosody = prosody or Prosody()
        import torch

        with torch.random.fork_rng():  # its excitation is noise, drawn from the global generator
            torch.manual_seed(seed)
            samples = self._say(text, voice.name, min(max(voice.tempo * prosody.tempo, _SPEEDS[0]), _SPEEDS[1]))
        samples = shift(samples, voice.pitch_st + prosody.pitch_st, voice.formants * prosody.formants)
        return _effects.apply(samples, RATE_HZ, prosody, np.random.default_rng(seed)), RATE_HZ

    def _say(self, text: str, voice: str, speed: float) -> np.ndarray:
        pack = voice if self._folder is None else str(self._folder / "voices" / f"{voice}.pt")
        parts = [result.audio.numpy() for result in self._pipeline(voice[0])(text, voice=pack, speed=speed) if result.audio is not None]
        # Text without a sound, such as a row of dashes, is a moment of silence.
        return np.concatenate([p.reshape(-1) for p in parts]).astype(np.float32) if parts else np.zeros(RATE_HZ // 10, np.float32)

    def _load(self, kind: Any) -> Any:
        try:
            if self._folder is None:
                return kind(repo_id=self._source)
            weights = sorted(self._folder.glob("*.pth"))
            if len(weights) != 1 or not (self._folder / "config.json").is_file():
                raise FileNotFoundError(f"it holds {len(weights)} .pth files")
            return kind(repo_id=self._source, config=str(self._folder / "config.json"), model=str(weights[0]))
        except (OSError, KeyError, ValueError) as error:
            raise RapportError(
                f"cannot load the voice kokoro:{self._source}: {error}\nName a folder that holds config.json, one .pth file and "
                f"voices/*.pt, or the hub id {PUBLISHED}"
            ) from error

    def _make_pipeline(self, language: str) -> Any:
        try:
            return _package().KPipeline(lang_code=language, repo_id=self._source, model=self._model)
        except (OSError, SystemExit) as error:  # spaCy ends the program when it cannot fetch its model
            if language in _ENGLISH:
                raise RapportError("kokoro reads English with en_core_web_sm: python -m spacy download en_core_web_sm") from error
            raise


def _package() -> Any:
    try:
        version("kokoro")
    except PackageNotFoundError as error:
        raise RapportError("the voice kokoro is not installed: pip install 'rapport[kokoro]', or take the voice espeak") from error
    import kokoro

    return kokoro


def shift(samples: np.ndarray, pitch_st: float, formants: float) -> np.ndarray:
    """float32 [S] with another pitch and `formants` times the resonances, of the same length."""
    if not len(samples) or (pitch_st == 0 and formants == 1):
        return samples
    from python_stretch import Signalsmith

    stretch = Signalsmith.Stretch(0)  # its own seed would come from the clock
    stretch.preset(1, RATE_HZ)
    stretch.setTransposeSemitones(pitch_st)
    moved = np.asarray(stretch.process(np.ascontiguousarray(samples, np.float32)[None]), np.float32)[0]
    return _with_resonances(moved[: len(samples)], samples, formants)


def _with_resonances(moved: np.ndarray, original: np.ndarray, formants: float) -> np.ndarray:
    """The moved sound [S] with the spectral envelope of the original [S], stretched by `formants`: resonances had moved with the pitch."""
    frames = ShortTimeFFT(np.hanning(_FRAME + 1)[:-1], _FRAME // 4, RATE_HZ)
    padded = np.pad(moved, (0, len(original) - len(moved)))
    spectrum = frames.stft(padded)  # [F, T]
    wanted, found = _log_envelope(frames.stft(original)), _log_envelope(spectrum)
    bins = np.arange(len(wanted)) / formants
    low = np.minimum(bins.astype(int), len(wanted) - 2)
    share = np.minimum(bins - low, 1)[:, None]
    gain = (1 - share) * wanted[low] + share * wanted[low + 1] - found
    limited = np.exp(np.clip(gain, -_MOST_GAIN, _MOST_GAIN))
    return np.asarray(frames.istft(spectrum * limited, k1=len(original)), np.float32)


def _log_envelope(spectrum: np.ndarray) -> np.ndarray:
    """[F, T] the smooth part of a log magnitude spectrum, without the harmonics of the voice."""
    magnitude = np.abs(spectrum)
    cepstrum = irfft(np.log(magnitude + 1e-4 * magnitude.max()), axis=0)
    cepstrum[_SMOOTH : len(cepstrum) - _SMOOTH + 1] = 0
    envelope: np.ndarray = rfft(cepstrum, axis=0).real
    return envelope
