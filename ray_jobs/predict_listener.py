"""Move a listener's head to the speech in audio files and folders.

    python -m rapport.ray_jobs.predict_listener talk.wav                              # motion/talk.csv and a page to watch, newest model
    python -m rapport.ray_jobs.predict_listener talks/ --format json --draw --seed 7  # drawn motion: another seed, another listener
    python -m rapport.ray_jobs.predict_listener talk.wav --format npz --video mp4 --out clips

For every recording `<out>/<name>.csv`, .json or .npz holds time, roll, pitch and yaw (seconds, degrees), `<name>.html` plays them beside
the speech, and `<name>.mp4` or .gif is a film of the same. The same model, recording and seed give the same motion. A file that cannot be
used is named, and ends the job with status 1 once everything else is written.
"""

import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import tyro
from pydantic import Field

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits
from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_times_s
from rapport.core.pose import DECIMALS, ROTATIONS, PoseFrame, csv_of
from rapport.core.progress import progress
from rapport.models.find import find_model
from rapport.ray_jobs.audio_files import find_files, speech_of
from rapport.ray_jobs.runtime import job

if TYPE_CHECKING:
    from rapport.models.listener.model import HeadMotionModel

_PIECE_S = 10
"""Speech that a model hears at once, which bounds memory."""

Degrees = npt.NDArray[np.float64]


class PredictListenerConfig(JobConfig):
    """Which recordings, with which model, written as what."""

    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Audio files and folders, local or in an object store."""
    model: str = ""
    """Name, folder or URI of a trained model; empty takes the newest under the storage root."""
    draw: bool = False
    """Draw the motion by the seed, as the model thinks it could be; otherwise the most probable motion is given."""
    out: str = "motion"
    """Folder to write into."""
    format: Literal["csv", "json", "npz"] = "csv"
    """How the motion is written."""
    page: bool = True
    """Write a page that plays the motion beside the speech."""
    video: Literal["none", "mp4", "gif"] = "none"
    """Also write a film: MP4 with the speech, or GIF without."""
    show_s: float = Field(default=120, ge=1)
    """Seconds from the beginning that page and film show; the motion is written whole."""
    limits: AudioLimits = AudioLimits(max_duration_s=4 * 3600)
    """What counts as a usable recording."""
    max_bad_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of files that may be unusable before the job counts as failed."""


def run(config: PredictListenerConfig) -> dict[str, Any]:
    """Move the head to every file, write what was asked for, and tell what became of each."""
    paths = list(find_files(config.inputs))

    from rapport.models.listener.pretrained import from_pretrained

    folder = _model_folder(config)
    model = from_pretrained(folder)
    rows: list[dict[str, Any]] = []
    with progress("move", len(paths)) as advance:
        for path, name in zip(paths, output_names(paths), strict=True):
            rows.append(_move(model, folder, path, name, config))
            advance(1)
    bad = [row for row in rows if row["error"]]
    if len(bad) > config.max_bad_fraction * len(rows):
        told = "\n".join(f"  {row['path']}: {row['reason']}: {row['error']}" for row in bad[:10])
        raise RapportError(f"{len(bad)} of {len(rows)} files cannot be used (max_bad_fraction is {config.max_bad_fraction:g}):\n{told}")
    return {"model": folder, "out": config.out, "files": len(rows), "bad": len(bad), "motions": rows}


def move_head(model: "HeadMotionModel", samples: npt.NDArray[np.float32], seed: int | None = None) -> Degrees:
    """[T, 3] degrees of a listener to speech [S] at 16 kHz: as it streams where the model can, so that an hour takes no more memory than
    a minute, and in one go otherwise. Drawn by the seed where one is given.
    """
    if not model.config.streams:
        return model.predict(samples, seed)
    from rapport.models.listener.streaming import MotionStream

    stream, step = MotionStream(model, seed), _PIECE_S * SAMPLE_RATE_HZ
    poses = [pose for first in range(0, len(samples), step) for pose in stream.push(samples[first : first + step])]
    found = np.array([pose[1:] for pose in poses + stream.finish()], dtype=np.float64)
    return found.reshape(-1, len(ROTATIONS))


def output_names(paths: Sequence[str]) -> list[str]:
    """A name for the outputs of each path: that of the file, numbered where several are called alike."""
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = PurePosixPath(path).stem
        name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(paths) + 2))) if n not in taken)
        taken.add(name)
        names.append(name)
    return names


def to_bytes(degrees: Degrees, rate_hz: int, kind: str, facts: Mapping[str, Any]) -> bytes:
    """Motion [T, 3] as a file of a kind (csv, json or npz); frame k is at (k + 1) / `rate_hz` seconds. JSON and NPZ tell the facts too."""
    times_s = frame_times_s(len(degrees), rate_hz)
    if kind == "npz":
        sink = io.BytesIO()
        np.savez_compressed(sink, time_s=times_s, degrees=degrees, rotations=np.array(ROTATIONS), facts=np.array(json.dumps(dict(facts))))
        return sink.getvalue()
    if kind == "json":
        columns = dict(zip(ROTATIONS, degrees.T.round(DECIMALS).tolist(), strict=True))
        return (json.dumps({**facts, "time_s": times_s.round(DECIMALS).tolist(), **columns}, ensure_ascii=False) + "\n").encode()
    return csv_of(PoseFrame(*row) for row in np.column_stack([times_s, degrees]).tolist()).encode()


def _move(model: "HeadMotionModel", folder: str, path: str, name: str, config: PredictListenerConfig) -> dict[str, Any]:
    """What became of one file, everything written."""
    clip = speech_of(path, config.limits)
    row: dict[str, Any] = {"path": path, "duration_s": None, "frames": None, "files": [], "reason": None, "error": None}
    if isinstance(clip, AudioError):
        return row | {"reason": clip.reason, "error": str(clip)}
    settings, seed = model.config, config.seed if config.draw else None
    rate_hz = settings.front_end.frame_rate_hz
    degrees = move_head(model, clip.samples, seed)
    if not len(degrees):
        return row | {"reason": "too_short", "error": f"{len(clip.samples)} samples are less than a frame at {rate_hz} Hz"}
    latency_s = round(settings.latency_s, 4) if settings.streams else None
    facts = {"recording": path, "model": folder, "frame_rate_hz": rate_hz, "pose": settings.pose, "latency_s": latency_s, "seed": seed}
    written = {f"{name}.{config.format}": to_bytes(degrees, rate_hz, config.format, facts)}
    written |= _shown(model, clip.samples, degrees, name, facts, config)
    for file, data in written.items():
        storage.write_bytes(storage.join(config.out, file), data)
    return row | {"duration_s": round(clip.duration_s, 3), "frames": len(degrees), "files": list(written)}


def _shown(
    model: "HeadMotionModel",
    samples: npt.NDArray[np.float32],
    degrees: Degrees,
    name: str,
    facts: Mapping[str, Any],
    config: PredictListenerConfig,
) -> dict[str, bytes]:
    """Page and film, as far as they are asked for."""
    if not config.page and config.video == "none":
        return {}
    rate_hz: int = facts["frame_rate_hz"]
    heard = samples[: round(config.show_s * SAMPLE_RATE_HZ)]
    motions = {f"drawn, seed {config.seed}" if config.draw else "most probable": degrees[: max(1, int(config.show_s * rate_hz))]}
    if config.draw:
        motions["most probable"] = move_head(model, heard)
    found = {}
    if config.page:
        from rapport.ray_jobs.reports.motion import motion_page

        told = {
            "model": posixpath.basename(facts["model"].rstrip("/")),
            "frames a second": rate_hz,
            "angles": "relative to the pose at rest" if facts["pose"] == "relative" else "absolute",
            **({} if facts["latency_s"] is None else {"behind the speech": f"{1000 * facts['latency_s']:.0f} ms"}),
        }
        found[f"{name}.html"] = motion_page(f"Listening to {name}", motions, rate_hz, heard, told).encode()
    if config.video == "mp4":
        from rapport.ray_jobs.reports.motion_video import motion_mp4

        found[f"{name}.mp4"] = motion_mp4(motions, rate_hz, heard, title=name)
    elif config.video == "gif":
        from rapport.ray_jobs.reports.motion_video import motion_gif

        found[f"{name}.gif"] = motion_gif(motions, rate_hz, title=name)
    return found


def _model_folder(config: PredictListenerConfig) -> str:
    named = storage.join(config.storage, "models", "listener", config.model)
    chosen = named if config.model and storage.exists(storage.join(named, "config.json")) else config.model
    return find_model(chosen, "listener", config.storage)


if __name__ == "__main__":
    job(PredictListenerConfig, run)
