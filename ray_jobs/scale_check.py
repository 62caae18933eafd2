"""Runs of growing size on this computer, measured: time of each part, and the memory of all processes."""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import soundfile

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.datasets.prepare import PrepareConfig, decode_chunks, plan_corpus
from rapport.ray_jobs.runtime import start_ray
from rapport.ray_jobs.scaling import Work

_MIB = 2**20
_LOOK_EVERY_S = 0.5


def measure(clips: int, clip_s: float, sizes: Sequence[int] = (1, 4, 16)) -> list[Work]:
    """A corpus of noise prepared at each of the sizes, times `clips`; smallest first, after one run that nobody counts."""
    from rapport.datasets.assemble import assemble

    work = []
    with tempfile.TemporaryDirectory() as folder, start_ray() as resources:
        _write(Path(folder), clips * max(sizes), clip_s)
        processors = int(resources.get("CPU", 1))
        for number, size in enumerate((sizes[0], *sizes)):
            table = Path(folder) / f"{number}.csv"
            names = "".join(f"{i}.wav,neutral,{i % 50}\n" for i in range(clips * size))
            table.write_text(f"path,emotion,speaker\n{names}")
            # A storage root for each: runs share what they have in common otherwise.
            values = {"corpus": {"name": "csv", "root": str(table)}, "storage": f"{folder}/storage-{number}"}
            config = PrepareConfig.model_validate({**values, "split": {"method": "all_train"}})
            with _watched() as peak:
                began = time.monotonic()
                plan = plan_corpus(config)
                planned = time.monotonic()
                for _ in decode_chunks(plan):
                    pass
                decoded = time.monotonic()
                assemble(plan)
                ended = time.monotonic()
            found = Work(clips * size * clip_s / 3600, processors, planned - began + ended - decoded, decoded - planned, peak[0])
            if number:
                work.append(found)
                print(f"{size} x {clips} clips: {found.alone_s + found.shared_s:.1f} s, {found.peak_mib:.0f} MiB", file=sys.stderr)
    return work


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
    own = psutil.Process(os.getpid())
    held = 0
    for process in (own, *own.children(recursive=True)):
        try:
            held += process.memory_full_info().uss
        except psutil.Error:  # it has ended since
            continue
    return held / _MIB
