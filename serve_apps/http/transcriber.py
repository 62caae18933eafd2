"""The words of a clip, from a deployment of its own that any app can have beside its model."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, voice_activity
from rapport.serve_apps.http.settings import bounded

_PIECE_S = 12.0


def bind_transcriber(name: str, max_pending: int) -> Any:
    """The deployment of a transcriber by the name that settings give it, or None for `off`."""
    from ray import serve

    if name == "off":
        return None
    options = {"ray_actor_options": {"num_cpus": 0.25}, "max_ongoing_requests": 8, **bounded(max_pending)}
    return serve.deployment(**options)(TranscriberReplica).bind(name)


class TranscriberReplica:
    """The words of a clip."""

    def __init__(self, name: str) -> None:
        from rapport.models.backends.transcribers import load_transcriber

        transcriber = load_transcriber(name)
        assert transcriber is not None
        self._transcriber = transcriber
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transcriber")

    async def transcribe(self, samples: np.ndarray) -> str:
        """The words of 16 kHz speech [S]."""
        # Piece by piece: a transcriber may hold Python's lock while it computes, and a request may be given up in between.
        run = asyncio.get_running_loop().run_in_executor
        words = [await run(self._thread, self._transcriber.transcribe, samples[first:end]) for first, end in pieces(samples, _PIECE_S)]
        return " ".join(text for text in words if text)


def pieces(samples: np.ndarray, longest_s: float) -> list[tuple[int, int]]:
    """(first, end) of stretches of the samples [S], 16 kHz, cut in the pauses between voice; a longer stretch of voice is cut anyway."""
    longest = round(longest_s * SAMPLE_RATE_HZ)
    if len(samples) <= longest:
        return [(0, len(samples))]
    voiced = voice_activity(samples)
    pauses = [round((a + b) / 2 * SAMPLE_RATE_HZ) for (_, a), (b, _) in pairwise(voiced)]
    cuts = [0]
    while len(samples) - cuts[-1] > longest:
        within = [pause for pause in pauses if cuts[-1] < pause <= cuts[-1] + longest]
        cuts.append(within[-1] if within else cuts[-1] + longest)
    return list(pairwise([*cuts, len(samples)]))
