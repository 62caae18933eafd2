"""Posts clips of a speaker that the model has never heard to the running server, as any HTTP client does."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
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


def listen(url: str, corpus: PreparedCorpus, *, split: str = "test") -> list[Heard]:
    """One clip an emotion by one speaker of a split, posted one after the other.

    Raises RapportError when the server refuses one.
    """
    rows = [row for row in corpus.rows if row.split == split and row.emotion]
    speaker = min(str(row.speaker_id) for row in rows)
    chosen = {str(row.emotion): row for row in reversed(rows) if str(row.speaker_id) == speaker}
    with httpx.Client(base_url=url, timeout=60) as client:
        heard = []
        for emotion, row in chosen.items():
            wav = encode_wav(corpus.waveform(row.utterance_id), SAMPLE_RATE_HZ)
            began_s = time.perf_counter()
            response = client.post(ENDPOINT, files={"file": ("clip.wav", wav, "audio/wav")})
            latency_s = time.perf_counter() - began_s
            if not response.is_success:
                raise RapportError(f"POST {url}{ENDPOINT} answered {response.status_code}: {response.text[:500]}")
            heard.append(Heard(row.utterance_id, emotion, row.text or "", wav, response.json(), latency_s))
    return heard
