"""The folder of one training run: its settings, its checkpoints, and whether it is new, interrupted or finished.

config.yaml     the resolved settings          sources.json     what it reads
checkpoints/    step-00000123/, newest last    result.json      what it came to, when it is finished
and what `rapport.training.tracking` writes
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow.fs as pafs
import yaml

from rapport.core import storage
from rapport.core.config import Config, ConfigError, dump_config
from rapport.training.checkpoint import PROGRESS

CONFIG, SOURCES, RESULT, CHECKPOINTS = "config.yaml", "sources.json", "result.json", "checkpoints"


def state_of(folder: str) -> Literal["new", "interrupted", "finished"]:
    """How far the run in a folder has come; one that was stopped before its first checkpoint is as good as new."""
    if storage.exists(storage.join(folder, RESULT)):
        return "finished"
    return "interrupted" if newest_checkpoint(folder) else "new"


def begin(folder: str, config: Config, sources: Mapping[str, Any]) -> None:
    """Write down what a new run is made of."""
    storage.write_json(storage.join(folder, SOURCES), dict(sources))
    storage.write_bytes(storage.join(folder, CONFIG), dump_config(config).encode())


def sources_of(folder: str) -> dict[str, Any]:
    """What a run that was begun reads."""
    sources: dict[str, Any] = storage.read_json(storage.join(folder, SOURCES))
    return sources


def check_unchanged(folder: str, config: Config, free: tuple[str, ...]) -> None:
    """Raises ConfigError naming the settings that differ from those the run began with, and what to do.

    Settings whose dotted names begin with one of `free` may differ: they change neither weights nor figures.
    """
    before = dict(_flat(yaml.safe_load(storage.read_bytes(storage.join(folder, CONFIG)))))
    now = flat_settings(config)
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key) and not key.startswith(free)]
    if differing:
        told = "\n".join(f"  {key}: then {before.get(key)!r}, now {now.get(key)!r}" for key in sorted(differing))
        raise ConfigError(f"the run in {folder} has other settings:\n{told}\nGive them back, train under another --name, or use --fresh")


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
    result: dict[str, Any] = storage.read_json(storage.join(folder, RESULT))
    return result


def absolute(path: str) -> str:
    """A path or URI that means the same in every folder."""
    return path if "://" in path else storage.resolve(path)[1]


def flat_settings(config: Config) -> dict[str, Any]:
    """Every setting by its dotted name."""
    return dict(_flat(config.model_dump(mode="json")))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}{key}.")
    else:
        yield prefix.removesuffix("."), value
