"""Which model folder is meant. Imports no torch."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError

_CONFIG = "config.json"  # written last by `rapport.models.saving`


def find_model(chosen: str, kind: str, root: str | None = None, *, best: Callable[[Mapping[str, Any]], int] = lambda saved: 0) -> str:
    """The folder of a trained model: `chosen` (path or URI) when it is one, and the newest of its kind when `chosen` is empty.

    The newest is looked for in `<root>/models/<kind>`; `root` is the storage root, from `RAPPORT_STORAGE` unless given. Of several, those
    come first whose config.json `best` gives the highest number.
    Raises RapportError when there is none.
    """
    if chosen:
        if not storage.exists(storage.join(chosen, _CONFIG)):
            state = f"holds no {_CONFIG}" if storage.exists(chosen) else "does not exist"
            raise RapportError(f"--model {chosen} {state}: wanted a folder that train_{kind} saved")
        return chosen
    home = storage.join(root or storage_root(), "models", kind)
    found = list(storage.completed(home, _CONFIG))
    if not found:
        raise RapportError(f"no model in {home}: train one with `python -m rapport.ray_jobs.train_{kind}`, or name a folder with --model")
    return max(reversed(found), key=lambda folder: best(storage.read_json(storage.join(folder, _CONFIG))))


def storage_root() -> str:
    """The storage root of this process."""
    return os.environ.get("RAPPORT_STORAGE", "~/rapport")


def saved_at(folder: str) -> int:
    """When a model folder was saved, in seconds since 1970; 0 where the storage does not tell."""
    return saved_at_ns(folder) // 10**9


def saved_at_ns(folder: str) -> int:
    """The same in nanoseconds, which tells apart models that were saved one right after the other."""
    fs, inner = storage.resolve(storage.join(folder, _CONFIG))
    return fs.get_file_info(inner).mtime_ns or 0
