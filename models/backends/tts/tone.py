"""A voice for machines: text in a code of tones, which `models/backends/asr/tone.py` reads back without loss. It stands in for speech
where only the words matter, at well under a millisecond an utterance.

    two sync symbols, length (2 bytes), text (UTF-8), CRC-32 (4 bytes)      a byte is two symbols, high half first

A symbol is 4 ms of one of 16 tones, 1.0 to 4.75 kHz in steps of 250 Hz, so that symbols are orthogonal and outlive resampling.
"""

import zlib
from collections.abc import Mapping

import numpy as np

from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice

RATE_HZ = 16_000
SYMBOL_S = 0.004
TONES_HZ = tuple(1_000 + 250 * i for i in range(16))
SYNC_HZ = 5_500
SYNC_SYMBOLS = 2
MAX_BYTES = 65_535
"""Longer text is refused: its length would not fit the code."""
_LEVEL = 0.5


def load() -> "Tone":
    """The engine, ready to speak."""
    return Tone()


class Tone:
    """A `rapport.core.speech.Synthesizer`. All its voices sound the same, and prosody changes nothing."""

    voices: Mapping[str, tuple[str, ...]] = {"female": ("tone",), "male": ()}

    @property
    def provenance(self) -> Mapping[str, str]:
        """Name and version of the code."""
        return {"engine": "tone", "version": "1"}

    def speak(self, text: str, voice: Voice, prosody: Prosody | None = None, *, seed: int = 0) -> tuple[np.ndarray, int]:
        """The text in tones, float32 [S], and its sample rate in Hz. Raises RapportError for text that is empty or too long."""
        return encode(text, RATE_HZ), RATE_HZ


def encode(text: str, rate_hz: int = RATE_HZ) -> np.ndarray:
    """The text in tones, float32 [S] in [-0.5, 0.5], at a rate of 16 kHz or more.

    Raises RapportError for text that is empty or longer than `MAX_BYTES`, and for a lower rate.
    """
    data = text.encode()
    if not 0 < len(data) <= MAX_BYTES:
        raise RapportError(f"text has {len(data)} bytes, the tone code holds 1 to {MAX_BYTES}")
    if rate_hz < RATE_HZ:
        raise RapportError(f"the tone code wants {RATE_HZ} Hz or more, found {rate_hz}: set the sampling rate")
    framed = np.frombuffer(len(data).to_bytes(2, "big") + data + zlib.crc32(data).to_bytes(4, "big"), np.uint8)
    halves = np.stack([framed >> 4, framed & 15], axis=1).reshape(-1)
    frequencies = np.concatenate([np.full(SYNC_SYMBOLS, float(SYNC_HZ)), np.asarray(TONES_HZ, float)[halves]])
    time_s = np.arange(round(len(frequencies) * SYMBOL_S * rate_hz)) / rate_hz
    symbols = np.minimum((time_s / SYMBOL_S + 1e-9).astype(int), len(frequencies) - 1)
    # Each tone has a whole number of periods in a symbol: phases meet at every boundary.
    return (_LEVEL * np.sin(2 * np.pi * frequencies[symbols] * time_s)).astype(np.float32)
