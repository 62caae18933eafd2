"""Killing one worker of a training while it is under way."""

import os
import random
import signal
import time
from pathlib import Path

import psutil


def kill_worker(folder: Path, killed: list[int], within_s: float = 200.0) -> None:
    """SIGKILL a worker of the training in that run folder, a child of this test's own Ray, at a random moment after its first epoch.

    `killed` gets how many epochs the run had finished by then, and nothing when the first has not ended within that time.
    """
    deadline_s = time.monotonic() + within_s
    while not (folder / "metrics.jsonl").exists():
        if time.monotonic() > deadline_s:
            return
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.3))
    for child in psutil.Process().children(recursive=True):
        if "RayTrainWorker" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
            killed.append(len((folder / "metrics.jsonl").read_text().splitlines()))
