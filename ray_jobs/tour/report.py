"""The page that a tour leaves behind: one HTML file with its pictures and sounds inside."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from rapport import __version__
from rapport.core import storage
from rapport.ray_jobs.reports.page import data_uri, render
from rapport.ray_jobs.tour.listening import ENDPOINT, Heard, Recording
from rapport.ray_jobs.tour.narrator import duration
from rapport.ray_jobs.tour.steps import Done

_WIDTH, _HEIGHT = 560, 240
_LEFT, _BOTTOM = 46, 34
_STRIP_WIDTH = 1100


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the training curve, in the coordinates of its picture."""

    name: str
    path: str
    last_x: float
    last_y: float


def report_page(done: Sequence[Done], heard: Sequence[Heard], recording: Recording, *, url: str, seconds: float) -> str:
    """The page of a finished tour."""
    results = {d.step.name: d.result for d in done}
    metrics = storage.read_json(storage.join(results["evaluate"]["folder"], "metrics.json"))
    history = [json.loads(line) for line in storage.read_bytes(storage.join(results["train"]["folder"], "metrics.jsonl")).splitlines()]
    return render(
        "quickstart.html",
        title="Rapport quickstart",
        summary=summary(done, heard, metrics),
        metrics=metrics,
        chance=chance(metrics),
        heard=[{"clip": h, "audio": data_uri(h.wav, "audio/wav"), "ranked": _ranked(h.answer["scores"])} for h in heard],
        latency_ms=1000 * median(h.latency_s for h in heard),
        recording=recording,
        recording_audio=data_uri(recording.wav, "audio/wav"),
        strip=_strip(recording),
        request=f"curl -s -F file=@clip.wav {url}{ENDPOINT}",
        answer=json.dumps(heard[0].answer, indent=2, ensure_ascii=False),
        curves=_curves(history),
        history=history,
        plot={"width": _WIDTH, "height": _HEIGHT, "left": _LEFT, "bottom": _BOTTOM},
        steps=[{"title": d.step.title, "outcome": d.outcome, "time": duration(d.seconds), "command": d.command} for d in done],
        trained=results["train"],
        train_time=duration(next(d.seconds for d in done if d.step.name == "train")),
        model=results["evaluate"]["model"],
        url=url,
        total=duration(seconds),
        earlier=sum(d.earlier for d in done),
        facts={
            "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
            "rapport": __version__,
            "computer": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
            "python": platform.python_version(),
        },
    )


def summary(done: Sequence[Done], heard: Sequence[Heard], metrics: Mapping[str, Any]) -> str:
    """What was done and what came of it, in a few plain sentences."""
    results = {d.step.name: d.result for d in done}
    clips = sum(results[name]["utterances"] for name in ("prepare_ravdess", "prepare_cremad"))
    speakers = sum(results[name]["speakers"] for name in ("prepare_ravdess", "prepare_cremad"))
    right = sum(h.emotion == h.answer["emotion"] for h in heard)
    others = metrics["interval"]["units"]
    return (
        f"A synthetic voice spoke {clips} clips as {speakers} speakers in up to {len(metrics['labels'])} emotions. A classifier was "
        f"trained on some of the speakers, and recognised {metrics['uar']:.0%} of the emotions of {others} others "
        f"(guessing: {chance(metrics):.0%}). It was then served over HTTP, where {right} of {len(heard)} clips that were posted to it "
        f"were answered with the emotion that was meant."
    )


def chance(metrics: Mapping[str, Any]) -> float:
    """The unweighted average recall of guessing."""
    return 1 / sum(1 for part in metrics["per_class"].values() if part["support"])


def _ranked(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])[:3]


def _strip(recording: Recording) -> dict[str, Any]:
    """Acted and heard emotions as stretches of a picture; a window stands for the stretch around its middle."""
    scale = _STRIP_WIDTH / recording.answer["duration_s"]

    def place(start_s: float, end_s: float) -> dict[str, float]:
        start_s, end_s = max(0.0, start_s), min(recording.answer["duration_s"], end_s)
        return {"x": round(scale * start_s, 2), "width": round(max(1.0, scale * (end_s - start_s) - 1), 2)}

    acted = [{**place(start_s, end_s), "emotion": emotion} for start_s, end_s, emotion in recording.acted]
    heard = []
    for window in recording.answer["windows"]:
        middle_s, half_s = (window["start_s"] + window["end_s"]) / 2, recording.hop_s / 2
        heard.append({**window, **place(middle_s - half_s, middle_s + half_s), "score": window["scores"][window["emotion"]]})
    return {"width": _STRIP_WIDTH, "acted": acted, "heard": heard}


def _curves(history: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """UAR by epoch on training and validation clips."""
    curves = []
    for side in ("train", "validation"):
        points = [(record["epoch"], record[side]["uar"]) for record in history if record[side]]
        if not points:
            continue
        span = max(1, history[-1]["epoch"] - history[0]["epoch"])
        placed = [
            (_LEFT + (_WIDTH - _LEFT - 16) * (epoch - history[0]["epoch"]) / span, 10 + (_HEIGHT - _BOTTOM - 10) * (1 - uar))
            for epoch, uar in points
        ]
        path = "".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(placed))
        curves.append(Curve(side, path, *placed[-1]))
    return curves
