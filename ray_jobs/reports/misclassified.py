"""The clips a model got wrong, to listen to: one WAV a clip, named after its utterance, and a page that plays and filters them."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
from rapport.ray_jobs.reports.page import render


@dataclass(frozen=True)
class Mistake:
    """One clip that was not recognised."""

    utterance_id: str
    corpus: str
    speaker_id: str | None
    target: str
    prediction: str
    scores: Mapping[str, float]
    """Emotion to probability."""

    @property
    def regret(self) -> float:
        """How much more the wrong emotion was believed than the true one: large for a confident mistake."""
        return self.scores[self.prediction] - self.scores.get(self.target, 0.0)


def write_misclassified(
    folder: str,
    mistakes: Sequence[Mistake],
    waveform: Callable[[str], np.ndarray],
    *,
    clips: int,
    max_clips: int = 60,
    title: str = "Misclassified clips",
) -> dict[str, Any]:
    """Write `index.html` and at most `max_clips` WAV files below `folder` (path or URI), the most confident mistakes first.

    `waveform` gives the unpadded samples [S] of an utterance id at 16 kHz, and is asked only for clips that are kept; `clips` is how many
    were tested. Every mistake is counted on the page, kept or not. Returns `folder`, `mistakes` and `kept`.
    """
    kept = sorted(mistakes, key=lambda m: (-m.regret, m.utterance_id))[:max_clips]
    rows = []
    for mistake in kept:
        samples = waveform(mistake.utterance_id)
        name = clip_name(mistake.utterance_id)
        storage.write_bytes(storage.join(folder, "clips", name), encode_wav(samples, SAMPLE_RATE_HZ))
        ranked = sorted(mistake.scores.items(), key=lambda item: -item[1])
        rows.append({"mistake": mistake, "file": f"clips/{name}", "duration_s": len(samples) / SAMPLE_RATE_HZ, "scores": ranked})
    pairs = Counter((m.target, m.prediction) for m in mistakes).most_common()
    page = render("misclassified.html", title=title, rows=rows, pairs=pairs, total=len(mistakes), clips=clips)
    storage.write_bytes(storage.join(folder, "index.html"), page.encode())
    return {"folder": folder, "mistakes": len(mistakes), "kept": len(kept)}


def clip_name(utterance_id: str) -> str:
    """A file name that stands for the utterance and no other; the id itself wherever its characters allow."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", utterance_id.replace("/", "__")).strip(".")[:120]
    if plain.replace("__", "/") == utterance_id:
        return f"{plain}.wav"
    return f"{plain}-{hashlib.sha256(utterance_id.encode()).hexdigest()[:8]}.wav"
