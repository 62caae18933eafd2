"""Runs of growing size on this computer, measured: time of each part, and the memory of all processes.

prepare_corpus    a corpus of noise; `shared` is decoding and writing shards
train_ser         an epoch of the model of `quickstart` on that corpus, with validation and test; `shared` is the epoch
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import soundfile

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.config import find_preset, read_config
from rapport.datasets.prepare import PrepareConfig, decode_chunks, plan_corpus
from rapport.ray_jobs.runtime import start_ray
from rapport.ray_jobs.scaling import Work

_MIB = 2**20
_LOOK_EVERY_S = 0.5


JOBS = ("prepare_corpus", "train_ser")
_EMOTIONS = ("neutral", "happy", "sad", "angry")


def measure(clips: int, clip_s: float, jobs: Sequence[str] = JOBS, sizes: Sequence[int] = (1, 4, 16)) -> dict[str, list[Work]]:
    """The jobs at each of the sizes, times `clips`; smallest first, after one run of each that nobody counts."""
    work: dict[str, list[Work]] = {name: [] for name in jobs}
    with tempfile.TemporaryDirectory() as folder, start_ray() as resources:
        _write(Path(folder), clips * max(sizes), clip_s)
        processors = int(resources.get("CPU", 1))
        for number, size in enumerate((sizes[0], *sizes)):
            table = Path(folder) / f"noise-{number}.csv"
            names = "".join(f"{i}.wav,{_EMOTIONS[i // 50 % 4]},{i % 50}\n" for i in range(clips * size))
            table.write_text(f"path,emotion,speaker\n{names}")
            hours = clips * size * clip_s / 3600
            # A storage root for each: runs share what they have in common otherwise.
            root = f"{folder}/storage-{number}"
            for name, run in (("prepare_corpus", partial(_prepare, table)), ("train_ser", _train)):
                if name not in jobs and name != "prepare_corpus":
                    continue
                with _watched() as peak:
                    alone_s, shared_s = run(root)
                if number and name in jobs:
                    work[name].append(Work(hours, processors, alone_s, shared_s, peak[0]))
                    told = f"{name}, {size} x {clips} clips: {alone_s + shared_s:.1f} s, {peak[0]:.0f} MiB"
                    print(told, file=sys.stderr, flush=True)
    return work


def _prepare(table: Path, root: str) -> tuple[float, float]:
    """Seconds of one process, and of all."""
    from rapport.datasets.assemble import assemble

    began = time.monotonic()
    plan = plan_corpus(PrepareConfig.model_validate({"corpus": {"name": "csv", "root": str(table)}, "storage": root}))
    planned = time.monotonic()
    for _ in decode_chunks(plan):
        pass
    decoded = time.monotonic()
    assemble(plan)
    return planned - began + time.monotonic() - decoded, decoded - planned


def _train(root: str) -> tuple[float, float]:
    """The same of a training."""
    from rapport.ray_jobs.ser_training.config import TrainSerConfig
    from rapport.ray_jobs.train_ser import train

    quickstart = read_config(TrainSerConfig, find_preset("quickstart", "train_ser"))
    values = {**quickstart.model_dump(), "storage": root, "name": "measured", "corpora": ["own"], "noise": None}
    values["training"]["epochs"], values["augment"]["noise"]["p"], values["model"]["emotions"] = 1, 0.0, _EMOTIONS
    began = time.monotonic()
    result = train(TrainSerConfig.model_validate(values), quiet=True)
    return time.monotonic() - began - result["seconds"], result["seconds"]


def _write(folder: Path, count: int, clip_s: float) -> None:
    """Clips of noise, each its own: equal ones would be taken for duplicates."""
    for index in range(count):
        noise = np.random.default_rng(index).normal(0, 0.1, round(clip_s * SAMPLE_RATE_HZ))
        soundfile.write(folder / f"{index}.wav", noise.astype(np.float32), SAMPLE_RATE_HZ, subtype="PCM_16")


@contextmanager
def _watched() -> Iterator[list[float]]:
    """The peak in MiB, final when the block has ended, of what this process and its children hold alone."""
    peak, over = [0.0], threading.Event()

    def look() -> None:
        while True:
            peak[0] = max(peak[0], _held_mib())
            if over.wait(_LOOK_EVERY_S):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _held_mib() -> float:
    # Without files that are mapped, such as the shards of a corpus: that memory is the system's, which takes it back when it wants to.
    own = psutil.Process(os.getpid())
    held = 0
    for process in (own, *own.children(recursive=True)):
        try:
            memory = process.memory_info()
            held += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:  # it has ended since
            continue
    return held / _MIB
