"""Progress of a training that runs in other processes, read from its run folder: a bar on a terminal, lines in a log."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rapport.core import storage
from rapport.core.progress import progress
from rapport.training.tracking import METRICS, PROGRESS


def epoch_line(record: Mapping[str, Any], epochs: int, figure: str, name: str) -> str:
    """One epoch in a line, with one share of its figures under a name that is read."""
    train, validation = record["train"], record["validation"]
    told = f"epoch {record['epoch']}/{epochs}  loss {train['loss']:.3f}  train {name} {train[figure]:.1%}"
    if validation:
        told += f"  validation {name} {validation[figure]:.1%}  loss {validation['loss']:.3f}{'  best' if record['best'] else ''}"
    return f"{told}  {record['seconds']:.0f} s"


@contextmanager
def watched(folder: str, name: str, line: Callable[[Mapping[str, Any]], str]) -> Iterator[None]:
    """Tell the progress of the run in `folder` while the block runs: its steps, and a `line` for the record of each epoch."""
    over = threading.Event()
    every_s = 0.5 if storage.is_local(folder) else 5.0
    thread = threading.Thread(target=_watch, args=(folder, name, line, over, every_s), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)


def _watch(folder: str, name: str, line: Callable[[Mapping[str, Any]], str], over: threading.Event, every_s: float) -> None:
    told = len(_records(folder))
    started = _progress(folder)
    while not started.get("total_steps") and not over.wait(every_s):
        started = _progress(folder)
    with progress(f"training {name}: steps", int(started.get("total_steps", 0))) as advance:
        step, last = 0, False
        while not last:
            last = over.wait(every_s)
            reached = int(_progress(folder).get("step", step))
            if reached > step:
                advance(reached - step)
                step = reached
            # A resumed run writes its earlier epochs again; they were told before.
            records = _records(folder)
            for record in records[told:]:
                print(line(record), file=sys.stderr, flush=True)
            told = max(told, len(records))


def _records(folder: str) -> list[dict[str, Any]]:
    path = storage.join(folder, METRICS)
    return [json.loads(line) for line in storage.read_bytes(path).splitlines()] if storage.exists(path) else []


def _progress(folder: str) -> dict[str, Any]:
    path = storage.join(folder, PROGRESS)
    return storage.read_json(path) if storage.exists(path) else {}
