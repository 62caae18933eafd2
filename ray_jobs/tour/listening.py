"""Posts clips of a speaker that the model has never heard to the running server, as any HTTP client does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav, load_speech
from rapport.core.emotions import in_vocabulary_order
from rapport.core.errors import RapportError
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
    """Start, end (seconds) and emotion of each clip."""
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
        rows = [row for row in corpus.rows if row.split == split and row.emotion]
        speaker = min(str(row.speaker_id) for row in rows)
        chosen = {str(row.emotion): row for row in reversed(rows) if str(row.speaker_id) == speaker}
        heard = []
        for emotion in in_vocabulary_order(chosen):
            row = chosen[emotion]
            wav = encode_wav(corpus.waveform(row.utterance_id), SAMPLE_RATE_HZ)
            began_s = time.perf_counter()
            answer = self._post(wav)
            heard.append(Heard(row.utterance_id, emotion, row.text or "", wav, answer, time.perf_counter() - began_s))
        return heard

    def recording(self, heard: Sequence[Heard], hop_s: float = 0.5) -> Recording:
        """The clips in a row, posted as one recording. Raises RapportError when the server refuses it."""
        parts = [load_speech(h.wav).samples for h in heard]
        ends_s = [float(end) / SAMPLE_RATE_HZ for end in np.cumsum([len(part) for part in parts])]
        acted = list(zip([0.0, *ends_s[:-1]], ends_s, [h.emotion for h in heard], strict=True))
        wav = encode_wav(np.concatenate(parts), SAMPLE_RATE_HZ)
        return Recording(wav, acted, self._post(wav, hop_s=str(hop_s)), hop_s)

    def _post(self, wav: bytes, **form: str) -> dict[str, Any]:
        response = self._client.post(ENDPOINT, files={"file": ("clip.wav", wav, "audio/wav")}, data=form)
        if not response.is_success:
            raise RapportError(f"POST {response.url} answered {response.status_code}: {response.text[:500]}")
        return response.json()
