"""The folder of one training run: its settings, its checkpoints, and whether it is new, interrupted or finished.

config.yaml     the resolved settings          sources.json     the prepared corpora it reads
checkpoints/    step-00000123/, newest last    result.json      what it came to, when it is finished
and what `rapport.training.tracking` writes
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow.fs as pafs
import yaml

from rapport.core import storage
from rapport.core.config import ConfigError, dump_config
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.ser_training.data import Sources
from rapport.training.checkpoint import PROGRESS

CONFIG, SOURCES, RESULT, CHECKPOINTS = "config.yaml", "sources.json", "result.json", "checkpoints"
# What may differ when a run is continued: it changes neither the weights nor the figures.
_FREE = (
    "storage",
    "fresh",
    "workers",
    "tracking",
    "training.loader_threads",
    "training.evaluation_batch_s",
    "training.save_every_steps",
    "training.save_every_epochs",
)


def run_folder(config: TrainSerConfig) -> str:
    """`<storage>/runs/train_ser/<name>`, absolute."""
    return storage.join(absolute(config.storage), "runs", "train_ser", config.name)


def model_folder(config: TrainSerConfig) -> str:
    """`<storage>/models/ser/<name>`, absolute."""
    return storage.join(absolute(config.storage), "models", "ser", config.name)


def state_of(folder: str) -> Literal["new", "interrupted", "finished"]:
    """How far the run in a folder has come; one that was stopped before its first checkpoint is as good as new."""
    if storage.exists(storage.join(folder, RESULT)):
        return "finished"
    return "interrupted" if newest_checkpoint(folder) else "new"


def begin(config: TrainSerConfig, sources: Sources) -> None:
    """Write down what a new run is made of."""
    folder = run_folder(config)
    storage.write_json(storage.join(folder, SOURCES), asdict(sources))
    storage.write_bytes(storage.join(folder, CONFIG), dump_config(config).encode())


def sources_of(folder: str) -> Sources:
    """The prepared corpora of a run that was begun."""
    return Sources.from_json(storage.read_json(storage.join(folder, SOURCES)))


def check_unchanged(config: TrainSerConfig) -> None:
    """Raises ConfigError naming the settings that differ from those the run began with, and what to do."""
    folder = run_folder(config)
    before = dict(_flat(yaml.safe_load(storage.read_bytes(storage.join(folder, CONFIG)))))
    now = flat_settings(config)
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key) and not key.startswith(_FREE)]
    if differing:
        told = "\n".join(f"  {key}: then {before.get(key)!r}, now {now.get(key)!r}" for key in sorted(differing))
        raise ConfigError(
            f"the run {config.name!r} has other settings:\n{told}\nGive them back, train under another --name, or use --fresh"
        )


def set_aside(folder: str) -> str | None:
    """Move a folder to a name of its own beside it; gives that name, or None when there is nothing to move."""
    if not storage.exists(folder):
        return None
    aside = f"{folder}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    fs, inner = storage.resolve(folder)
    target = storage.resolve(aside)[1]
    if isinstance(fs, pafs.LocalFileSystem):
        fs.move(inner, target)
    else:
        pafs.copy_files(inner, target, source_filesystem=fs, destination_filesystem=fs)
        fs.delete_dir(inner)
    return aside


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint folder of a step; names sort as steps do."""
    return f"step-{step:08d}"


def newest_checkpoint(folder: str) -> str | None:
    """The newest complete checkpoint of the run in a folder."""
    return max(storage.completed(storage.join(folder, CHECKPOINTS), PROGRESS), default=None)


def prune_checkpoints(folder: str) -> None:
    """Leave the newest complete checkpoint only, and none of Ray's own bookkeeping, which a kill may have left half-written."""
    newest = newest_checkpoint(folder)
    fs, inner = storage.resolve(storage.join(folder, CHECKPOINTS))
    for item in fs.get_file_info(pafs.FileSelector(inner, allow_not_found=True)):
        if newest is None or item.base_name != newest.rsplit("/", 1)[-1]:
            storage.remove(storage.join(folder, CHECKPOINTS, item.base_name))


def finished_result(folder: str) -> dict[str, Any]:
    """The result of a finished run."""
    return storage.read_json(storage.join(folder, RESULT))


def absolute(path: str) -> str:
    """A path or URI that means the same in every folder."""
    return path if "://" in path else storage.resolve(path)[1]


def flat_settings(config: TrainSerConfig) -> dict[str, Any]:
    """Every setting by its dotted name."""
    return dict(_flat(config.model_dump(mode="json")))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}{key}.")
    else:
        yield prefix.removesuffix("."), value
