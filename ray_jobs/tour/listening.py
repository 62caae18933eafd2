"""Posts clips of a speaker that the model has never heard to the running server, as any HTTP client does."""

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
from rapport.core.emotions import in_vocabulary_order
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.prepared import PreparedCorpus

ENDPOINT = "/v1/audio/emotions"


@dataclass(frozen=True, slots=True)
class Heard:
    """One clip and what the server answered."""

    utterance_id: str
    emotion: str
    """What was acted."""
    text: str
    wav: bytes
    answer: dict[str, Any]
    latency_s: float
    """From the request to the whole answer."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Clips in a row, posted as one recording, and what the server answered along it."""

    wav: bytes
    acted: list[tuple[float, float, str]]
    """Start, end (seconds) and emotion of each stretch."""
    answer: dict[str, Any]
    hop_s: float

    @property
    def window_s(self) -> float:
        """Length of the windows that were answered."""
        window = self.answer["windows"][0]
        return float(window["end_s"] - window["start_s"])


class Listener:
    """A client of the running server."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)

    def clips(self, corpus: PreparedCorpus, *, split: str = "test") -> list[Heard]:
        """One clip an emotion by one speaker of a split, posted one after the other. Raises RapportError when the server refuses one."""
        heard = []
        for row in _takes(corpus, split, each=1):
            wav = encode_wav(corpus.waveform(row.utterance_id), SAMPLE_RATE_HZ)
            began_s = time.perf_counter()
            answer = self._post(wav)
            heard.append(Heard(row.utterance_id, str(row.emotion), row.text or "", wav, answer, time.perf_counter() - began_s))
        return heard

    def recording(self, corpus: PreparedCorpus, *, split: str = "test", hop_s: float = 0.5) -> Recording:
        """Two clips an emotion by that speaker in a row, posted as one recording: long enough for a window to lie within an emotion.

        Raises RapportError when the server refuses it.
        """
        takes = _takes(corpus, split, each=2)
        parts = [corpus.waveform(row.utterance_id) for row in takes]
        ends_s = [float(end) / SAMPLE_RATE_HZ for end in np.cumsum([len(part) for part in parts])]
        acted: list[tuple[float, float, str]] = []
        for row, start_s, end_s in zip(takes, [0.0, *ends_s[:-1]], ends_s, strict=True):
            if acted and acted[-1][2] == row.emotion:
                start_s = acted.pop()[0]
            acted.append((start_s, end_s, str(row.emotion)))
        wav = encode_wav(np.concatenate(parts), SAMPLE_RATE_HZ)
        return Recording(wav, acted, self._post(wav, hop_s=str(hop_s)), hop_s)

    def _post(self, wav: bytes, **form: str) -> dict[str, Any]:
        response = self._client.post(ENDPOINT, files={"file": ("clip.wav", wav, "audio/wav")}, data=form)
        if not response.is_success:
            raise RapportError(f"POST {response.url} answered {response.status_code}: {response.text[:500]}")
        return response.json()


def _takes(corpus: PreparedCorpus, split: str, each: int) -> list[Utterance]:
    """The first `each` clips of every emotion by the first speaker of a split, emotion by emotion."""
    rows = [row for row in corpus.rows if row.split == split and row.emotion]
    speaker = min(str(row.speaker_id) for row in rows)
    by_emotion: dict[str, list[Utterance]] = defaultdict(list)
    for row in rows:
        if str(row.speaker_id) == speaker:
            by_emotion[str(row.emotion)].append(row)
    return [row for emotion in in_vocabulary_order(by_emotion) for row in by_emotion[emotion][:each]]
