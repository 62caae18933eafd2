"""Tell the emotion in audio files and folders.

    python -m rapport.ray_jobs.predict_ser clip.wav interview.mp3              # JSON lines, the newest trained model
    python -m rapport.ray_jobs.predict_ser recordings/ --out emotions.csv      # every audio file below a folder
    python -m rapport.ray_jobs.predict_ser talk.m4a --timeline --hop-s 0.5 --out talk.json

A long recording is judged in overlapping windows at the length that the model was trained on; `--timeline` gives those too. A file that
cannot be used gets a row that says why, and ends the job with status 1 once everything else is written.
"""

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import tyro
from pydantic import Field

from rapport.core import storage
from rapport.core.audio import AudioError, AudioLimits, Speech
from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.models.find import find_model
from rapport.ray_jobs.audio_files import find_files, speech_of
from rapport.ray_jobs.runtime import job

if TYPE_CHECKING:
    from rapport.models.ser.inference import Predictor

_GROUP = 32
_FORMATS = (".json", ".jsonl", ".csv")


class PredictSerConfig(JobConfig):
    """Which files, with which model, written where."""

    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Audio files and folders, local or in an object store."""
    model: str = ""
    """Folder or URI of a trained model; empty takes the newest under the storage root."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""
    out: str = "-"
    """File to write: .json, .jsonl or .csv. `-` prints JSON lines as they come."""
    timeline: bool = False
    """Also answer for overlapping windows."""
    window_s: float | None = Field(default=None, ge=0.25, le=60)
    """Length of a window; the one that the model was trained on unless given."""
    hop_s: float | None = Field(default=None, ge=0.05, le=60)
    """Distance between windows; half a window unless given."""
    limits: AudioLimits = AudioLimits(max_duration_s=3600)
    """What counts as a usable recording."""
    threads: int = Field(default=2, ge=1)
    """Files decoded at the same time."""
    max_bad_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of files that may be unusable before the job counts as failed."""


Row = dict[str, Any]


def run(config: PredictSerConfig) -> dict[str, Any]:
    """Judge every file, write a row for each, and count the bad ones."""
    suffix = PurePosixPath(config.out).suffix.lower()
    if config.out != "-" and suffix not in _FORMATS:
        raise RapportError(f"--out {config.out}: wanted a name that ends in {', '.join(_FORMATS)}, or - for JSON lines on the terminal")
    paths = list(find_files(config.inputs))

    from rapport.models.ser.inference import Predictor

    folder = find_model(config.model, "ser", config.storage)
    predictor = Predictor.from_pretrained(folder, device=config.device)
    rows: list[Row] = []
    with progress("predict", len(paths)) as advance, ThreadPoolExecutor(config.threads) as pool:
        for group in (paths[first : first + _GROUP] for first in range(0, len(paths), _GROUP)):
            found = predict_group(predictor, group, list(pool.map(lambda path: speech_of(path, config.limits), group)), config)
            if config.out == "-":
                print(*(json.dumps(row, ensure_ascii=False) for row in found), sep="\n", flush=True)
            rows += found
            advance(len(group))
    if config.out != "-":
        storage.write_bytes(config.out, to_bytes(rows, suffix, predictor.emotions))
    bad = [row for row in rows if row["error"]]
    if len(bad) > config.max_bad_fraction * len(rows):
        told = "\n".join(f"  {row['path']}: {row['reason']}: {row['error']}" for row in bad[:10])
        raise RapportError(f"{len(bad)} of {len(rows)} files cannot be used (max_bad_fraction is {config.max_bad_fraction:g}):\n{told}")
    return {"model": folder, "files": len(rows), "bad": len(bad), "out": config.out}


def predict_group(
    predictor: "Predictor", paths: Sequence[str], clips: Sequence[Speech | AudioError], config: PredictSerConfig
) -> list[Row]:
    """A row for each path, in order."""
    good = [clip for clip in clips if isinstance(clip, Speech)]
    predictions = iter(predictor.predict([clip.samples for clip in good]) if good else [])
    rows = []
    for path, clip in zip(paths, clips, strict=True):
        row: Row = {"path": path, "duration_s": None, "emotion": None, "scores": None, "windows": [], "reason": None, "error": None}
        if isinstance(clip, AudioError):
            row |= {"reason": clip.reason, "error": str(clip)}
        else:
            prediction = next(predictions)
            row |= {"duration_s": round(clip.duration_s, 3), "emotion": prediction.emotion, "scores": _rounded(prediction.scores)}
            if config.timeline:
                hop_s = config.hop_s or (config.window_s or predictor.window_s) / 2
                moments = predictor.timeline(clip.samples, window_s=config.window_s, hop_s=hop_s, smoothing_s=0)
                row["windows"] = [
                    {"start_s": round(m.start_s, 3), "end_s": round(m.end_s, 3), "emotion": m.emotion, "scores": _rounded(m.scores)}
                    for m in moments
                ]
        rows.append(row)
    return rows


def to_bytes(rows: Sequence[Row], suffix: str, emotions: Sequence[str]) -> bytes:
    """The rows as a file; in CSV a row is a clip (`part` is `clip`) or a window of the clip above it."""
    if suffix == ".json":
        return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    sink = io.StringIO()
    table = csv.DictWriter(sink, ["path", "part", "start_s", "end_s", "emotion", *emotions, "reason", "error"], lineterminator="\n")
    table.writeheader()
    for row in rows:
        kept = {name: row[name] for name in ("path", "emotion", "reason", "error")}
        bounds = {} if row["error"] else {"start_s": 0, "end_s": row["duration_s"]}
        table.writerow({**kept, "part": "clip", **bounds, **(row["scores"] or {})})
        for window in row["windows"]:
            place = {name: window[name] for name in ("start_s", "end_s", "emotion")}
            table.writerow({"path": row["path"], "part": "window", **place, **window["scores"]})
    return sink.getvalue().encode()


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {emotion: round(score, 6) for emotion, score in scores.items()}


if __name__ == "__main__":
    job(PredictSerConfig, run)
