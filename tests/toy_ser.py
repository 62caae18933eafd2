"""A prepared corpus of tones in RAVDESS' layout, and training settings small enough to learn it in a second."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rapport.datasets.assemble import assemble
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.stages.decode import decode_chunk
from rapport.ray_jobs.ser_training.config import TrainSerConfig

RATE_HZ = 16_000
PITCHES_HZ = {"01": 300, "03": 900, "04": 2500}
EMOTIONS = ("neutral", "happy", "sad")
SPLIT = {"validation": 0.25, "test": 0.25}


def prepare_toys(root: Path, actors: range = range(1, 9), *, name: str = "ravdess", **changes: Any) -> str:
    """Write and prepare tones, two of each emotion an actor, a quarter of the actors to validate on and a quarter to test on.

    Gives the folder of the prepared corpus below the storage root `root`.
    """
    raw = root / f"raw-{name}"
    write_toys(raw, actors, name)
    corpus = {"name": name, "root": str(raw)}
    values = {"corpus": corpus, "storage": str(root), "split": SPLIT, **changes}
    plan = plan_corpus(PrepareConfig.model_validate(values))
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
    return str(assemble(plan)["folder"])


def write_toys(raw: Path, actors: range = range(1, 9), name: str = "ravdess") -> None:
    """Write the tones that `prepare_toys` prepares."""
    for actor in actors:
        for emotion, pitch_hz in PITCHES_HZ.items():
            for statement in (1, 2):
                if name == "cremad":
                    code = {"01": "NEU", "03": "HAP", "04": "SAD"}[emotion]
                    path = raw / f"{1000 + actor}_{('IEO', 'TIE')[statement - 1]}_{code}_XX.wav"
                else:
                    path = raw / f"Actor_{actor:02d}" / f"03-01-{emotion}-01-0{statement}-01-{actor:02d}.wav"
                _write_tone(path, pitch_hz, seed=[len(name), actor, int(emotion), statement])


def toy_settings(root: Path | str, **changes: Any) -> TrainSerConfig:
    """Settings of a short training; blocks given are merged into the defaults."""
    values: dict[str, Any] = {
        "storage": str(root),
        "model": {
            "emotions": EMOTIONS,
            "encoder": {"logmel": {"bands": 16, "width": 0.3, "projection": 16, "gru_hidden": 8, "pitch": {"candidates": 0}}},
            "head": {"hidden": 16},
        },
        "training": {"epochs": 3, "batch_size": 8, "optim": {"lr": 0.01}, "ema_decay": 0.9},
        "workers": {"cpus": 1, "use_gpu": "no"},
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
    return TrainSerConfig.model_validate(values)


def _write_tone(path: Path, pitch_hz: float, seed: list[int]) -> None:
    random = np.random.default_rng(seed)
    times_s = np.arange(int(RATE_HZ * random.uniform(0.4, 0.7))) / RATE_HZ
    wave = 0.3 * np.sin(2 * np.pi * pitch_hz * random.uniform(0.9, 1.1) * times_s) + 0.02 * random.standard_normal(len(times_s))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave.astype(np.float32), RATE_HZ, format="WAV")
