"""Ears for the tone code of `models/backends/tts/tone.py`: the words, with errors where they are asked for. Anything else is not heard."""

import zlib
from collections.abc import Iterator
from hashlib import sha256

import numpy as np

from rapport.core.audio import to_pcm16
from rapport.core.errors import RapportError
from rapport.models.backends.tts.tone import RATE_HZ, SYMBOL_S, SYNC_HZ, SYNC_SYMBOLS, TONES_HZ

_SYMBOL = round(SYMBOL_S * RATE_HZ)
_ONSET = 0.3
"""Share of the peak at which the code begins; resampling leaves a little before it."""
_FRAME_BYTES = 6  # length and checksum
# Words that no task has, so that a mistaken word is never another item.
_MISHEARD = ("hmm", "whatsit", "thingy", "erm")
_PROBES = np.exp(-2j * np.pi * np.outer(np.arange(_SYMBOL) / RATE_HZ, [*TONES_HZ, SYNC_HZ]))  # [_SYMBOL, 17]


def load(word_error_rate: str | float = 0.0, *, seed: int = 0) -> "ToneEars":
    """A transcriber that errs in this share of words: by leaving one out, taking it for another, or adding one.

    Raises RapportError for a rate outside 0 to 1.
    """
    try:
        rate = float(word_error_rate)
    except ValueError:
        rate = float("nan")
    if not 0 <= rate <= 1:
        raise RapportError(f"tone:{word_error_rate} is no word error rate: wanted a number from 0 to 1")
    return ToneEars(rate, seed)


class ToneEars:
    """A `rapport.core.speech.Transcriber`. Its errors are drawn from the samples: the same clip is misheard in the same way."""

    def __init__(self, word_error_rate: float = 0.0, seed: int = 0) -> None:
        self._word_error_rate, self._seed = word_error_rate, seed

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of 16 kHz speech, float32 [S]; empty when there is no code in it, or it is damaged."""
        text = decode(samples)
        if self._word_error_rate == 0 or not text:
            return text
        digest = sha256(to_pcm16(samples).tobytes() + self._seed.to_bytes(8, "big")).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return " ".join(self._misheard(text.split(), rng))

    def _misheard(self, words: list[str], rng: np.random.Generator) -> Iterator[str]:
        for word in words:
            kind = rng.integers(3) if rng.random() < self._word_error_rate else None
            if kind is None or kind == 2:
                yield word
            if kind is not None and kind > 0:
                yield _MISHEARD[rng.integers(len(_MISHEARD))]


def decode(samples: np.ndarray) -> str:
    """The text in a tone code of 16 kHz, float32 [S]; empty when there is none, or its checksum is wrong."""
    peak = float(np.abs(samples).max(initial=0))
    if peak == 0 or not np.isfinite(peak):
        return ""
    begin = int(np.argmax(np.abs(samples) > _ONSET * peak))
    # The last symbol may lack the few samples that rounding took.
    whole = np.pad(samples[begin:], (0, _SYMBOL // 4))
    count = len(whole) // _SYMBOL
    symbols = np.abs(whole[: count * _SYMBOL].reshape(count, _SYMBOL) @ _PROBES).argmax(axis=1)
    if count <= SYNC_SYMBOLS or (symbols[:SYNC_SYMBOLS] != len(TONES_HZ)).any():
        return ""
    halves = symbols[SYNC_SYMBOLS:]
    data = bytes((high << 4 | low) & 255 for high, low in zip(halves[0::2].tolist(), halves[1::2].tolist(), strict=False))
    length = int.from_bytes(data[:2], "big")
    text, check = data[2 : 2 + length], data[2 + length : length + _FRAME_BYTES]
    if len(check) < 4 or zlib.crc32(text) != int.from_bytes(check, "big"):
        return ""
    return text.decode(errors="replace")
