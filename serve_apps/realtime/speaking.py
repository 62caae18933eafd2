"""A reply that is spoken while it is written: cut into sentences, told in parts, and cut again where the user broke in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rapport.serve_apps.realtime.input_audio import BYTES
from rapport.serve_apps.realtime.session_config import RATE_HZ

PART_S = 0.2
"""Sound in one event."""

# A sentence ends at a mark that a space follows; of a long one, a clause is enough to begin with.
_SENTENCE, _CLAUSE, _LONG = re.compile(r"[.!?…]+[\"')\]]*\s"), re.compile(r"[,;:]\s"), 60
_AUDIBLE = 328  # of 32768: -40 dB


class Sentences:
    """Words as they are written, as sentences that can be spoken."""

    def __init__(self) -> None:
        self._waiting = ""

    def write(self, words: str) -> list[str]:
        """The sentences that these words complete."""
        self._waiting += words
        ready = []
        while end := self._end():
            ready.append(self._waiting[:end])
            self._waiting = self._waiting[end:]
        return [sentence.strip() for sentence in ready if sentence.strip()]

    def finish(self) -> list[str]:
        """What is left."""
        rest, self._waiting = self._waiting.strip(), ""
        return [rest] if rest else []

    def _end(self) -> int:
        if found := _SENTENCE.search(self._waiting):
            return found.end()
        clauses = [found.end() for found in _CLAUSE.finditer(self._waiting)] if len(self._waiting) > _LONG else []
        return max(clauses, default=0)


@dataclass(slots=True)
class Spoken:
    """What of a reply has been told as sound, and since when it may be heard."""

    segments: list[tuple[str, int]] = field(default_factory=list)
    """Words, and how many samples they take."""
    samples: int = 0
    """Samples that have been sent."""
    begun_s: float | None = None
    """When the first of them was sent."""
    audible: int | None = None
    """The first sample that is not silence."""

    def add(self, words: str, pcm: bytes) -> Iterator[bytes]:
        """The parts of a sentence, as they are to be sent; each counts once it has been asked for."""
        if self.audible is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _AUDIBLE)
            self.audible = self.samples + int(loud[0]) if len(loud) else None
        self.segments.append((words, len(pcm) // BYTES))
        size = round(PART_S * RATE_HZ) * BYTES
        for start in range(0, len(pcm), size):
            part = pcm[start : start + size]
            self.samples += len(part) // BYTES
            yield part

    def played(self, now_s: float) -> int:
        """How many samples a player that began at the first part has played by now, at most."""
        return 0 if self.begun_s is None else min(self.samples, max(0, round((now_s - self.begun_s) * RATE_HZ)))

    def ends_s(self) -> float | None:
        """When that player has played all; None before the first part."""
        return None if self.begun_s is None else self.begun_s + self.samples / RATE_HZ

    def cut(self, samples: int) -> str:
        """Forget what lies behind the first samples. The words within them; of a sentence that is cut, as many as its share of sound."""
        heard: list[str] = []
        left = samples
        for words, length in self.segments:
            share = min(1.0, left / length) if length else 1.0
            heard += words.split()[: int(share * len(words.split()))]
            left -= length
            if left <= 0:
                break
        self.samples = min(self.samples, samples)
        self.segments = [(" ".join(heard), self.samples)]
        return self.segments[0][0]
