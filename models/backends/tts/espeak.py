"""The embedded voice: espeak-ng 1.52 from the `espeakng-loader` wheel, called in this process; nothing is fetched.

The library keeps state between utterances (noise, phase of the voice), so that the same call gives other samples each time. Here the
library is loaded afresh for each utterance, at a cost of 1 to 2 ms: the same arguments give the same samples, in any order, in any
process. It is not thread-safe either: calls take turns.
"""

import ctypes
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice
from rapport.models.backends.tts import _effects

RATE_HZ = 22_050
"""What the library makes."""
WORDS_PER_MINUTE = 175
"""Its normal tempo."""
VOICES: Mapping[str, tuple[str, ...]] = {
    "female": ("en-us+f1", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+f5"),
    "male": ("en-us+m1", "en-us+m2", "en-us+m3", "en-us+m4", "en-us+m5", "en-us+m6", "en-us+m7"),
}
MAX_CHARACTERS = 5_000
"""Longer text is refused: about six minutes of speech."""

# espeak's speak_lib.h
_SYNCHRONOUS, _TEXT_UTF8, _POSITION_CHARACTER = 2, 1, 1
_TEMPO, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7
_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_turn = threading.Lock()


def load() -> "Espeak":
    """The engine, ready to speak."""
    return Espeak()


class Espeak:
    """A `rapport.core.speech.Synthesizer`. Holds nothing open, so it may be copied between processes."""

    voices = VOICES

    @property
    def provenance(self) -> Mapping[str, str]:
        """Name and version of the engine."""
        with _library() as library:
            library.espeak_Info.restype = ctypes.c_char_p
            version: bytes = library.espeak_Info(None)
        return {"engine": "espeak-ng", "version": version.decode().split()[0]}

    def speak(self, text: str, voice: Voice, prosody: Prosody | None = None, *, seed: int = 0) -> tuple[np.ndarray, int]:
        """Speech, float32 [S] in [-1, 1], and its sample rate in Hz, which varies: formants are shifted by playing faster or slower.

        `seed` varies the breath, tremor and phase of the voice, not what is said or its tune. `voice.name` is one of `voices` or any other
        name that espeak knows, such as `de+f2`. Raises RapportError for an unknown voice, and for text that is empty or too long.
        """
        if not text.strip() or len(text) > MAX_CHARACTERS:
            raise RapportError(f"text has {len(text)} characters, the voice speaks 1 to {MAX_CHARACTERS}")
        prosody = prosody or Prosody()
        scale = voice.formants * prosody.formants
        rng = np.random.default_rng(seed)
        samples = _synthesize(text, voice.name, _parameters(voice, prosody, scale), seed=int(rng.integers(1, 2**31)))
        rate_hz = round(RATE_HZ * scale)
        return _effects.apply(samples, rate_hz, prosody, rng), rate_hz


def _parameters(voice: Voice, prosody: Prosody, scale: float) -> dict[int, int]:
    """espeak's parameters that, played `scale` times as fast, give the wanted prosody."""
    semitones = voice.pitch_st + prosody.pitch_st - 12 * math.log2(scale)
    # espeak's pitch is exponential, an octave in 50 steps; its range is in Hz, so it must grow with pitch to stay the same in semitones.
    return {
        _TEMPO: _bounded(WORDS_PER_MINUTE * voice.tempo * prosody.tempo / scale, 80, 450),
        _PITCH: _bounded(50 + 50 * semitones / 12, 0, 99),
        _RANGE: _bounded(50 * prosody.pitch_range * 2 ** (semitones / 12), 0, 99),
        _WORD_GAP: _bounded(prosody.pause_s / 0.01, 0, 100),
    }


def _bounded(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


def _synthesize(text: str, voice: str, parameters: Mapping[int, int], seed: int) -> np.ndarray:
    """float32 [S] at `RATE_HZ`."""
    parts: list[np.ndarray] = []

    @_SYNTH_CALLBACK
    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    data = text.encode()
    with _library() as library:
        library.espeak_SetSynthCallback(collect)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        if not _is_variant(voice.partition("+")[2]) or library.espeak_SetVoiceByName(voice.encode()) != 0:
            known = ", ".join(name for names in VOICES.values() for name in names)
            raise RapportError(f"espeak has no voice {voice!r}: take one of {known}")
        for parameter, value in parameters.items():
            library.espeak_SetParameter(parameter, value, 0)
        status = library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, _POSITION_CHARACTER, 0, _TEXT_UTF8, None, None)
        if status != 0:
            raise RuntimeError(f"espeak_Synth failed with status {status} on {text[:80]!r}")
        library.espeak_Synchronize()
    pcm = np.concatenate(parts) if parts else np.zeros(1, np.int16)
    return pcm.astype(np.float32) / np.float32(32768)


@cache
def _is_variant(name: str) -> bool:
    """Whether espeak has that variant of a voice; it would itself speak on in the plain voice."""
    import espeakng_loader

    return not name or name in os.listdir(os.path.join(espeakng_loader.get_data_path(), "voices", "!v"))


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """The library in its first state; unloaded again on leaving, one caller at a time."""
    import _ctypes

    import espeakng_loader

    with _turn:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            data_folder = espeakng_loader.get_data_path()
            rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, data_folder.encode(), 0)
            if rate_hz != RATE_HZ:
                raise RuntimeError(f"espeak-ng answered {rate_hz} to its initialisation with the data in {data_folder}")
            try:
                yield library
            finally:
                library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
