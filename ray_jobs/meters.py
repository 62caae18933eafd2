"""What jobs tell Ray's metrics, for Prometheus to collect from every machine of a cluster."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

_TELL_EVERY_S = 1.0


class PreparationMeter:
    """Of one preparation, in the process that waits for its chunks."""

    def __init__(self, corpus: str) -> None:
        self._tags = {"corpus": corpus}
        self._files = Counter("rapport_files", "Files that a preparation has gone through.", tag_keys=("corpus",))
        self._bad = Counter("rapport_quarantined_files", "Files among them that cannot be used.", tag_keys=("corpus",))
        self._speech_s = Counter("rapport_speech_s", "Speech that was prepared, seconds.", tag_keys=("corpus",))

    def chunk(self, done: Mapping[str, Any]) -> None:
        """A finished chunk: its `files`, how many of them are `bad`, and `speech_s`."""
        for counter, count in ((self._files, done["files"]), (self._bad, done["bad"]), (self._speech_s, done["speech_s"])):
            if count:  # a counter takes no nothing
                counter.inc(count, tags=self._tags)


class TrainingMeter:
    """Of one training, in its first worker."""

    def __init__(self, run: str, gpu_bytes: Callable[[], int] | None = None) -> None:
        """`gpu_bytes` tells the peak memory of the worker's GPU, where it has one."""
        self._tags, self._gpu_bytes = {"run": run}, gpu_bytes
        self._step = Gauge("rapport_step", "Optimiser steps taken.", tag_keys=("run",))
        self._step_s = Gauge("rapport_step_s", "Seconds a step, over the last second or more.", tag_keys=("run",))
        self._tokens = Gauge("rapport_tokens_per_s", "Tokens a second of the last epoch, over all workers.", tag_keys=("run",))
        self._gpu = Gauge("rapport_gpu_bytes", "Peak memory of the first worker's GPU.", tag_keys=("run",))
        self._last: tuple[int, float] | None = None

    def step(self, step: int, now_s: float | None = None) -> None:
        """A step was taken."""
        now_s = time.monotonic() if now_s is None else now_s
        before = self._last
        if before is not None and now_s - before[1] < _TELL_EVERY_S:
            return
        self._step.set(step, tags=self._tags)
        if before is not None and step > before[0]:
            self._step_s.set((now_s - before[1]) / (step - before[0]), tags=self._tags)
        if self._gpu_bytes is not None:
            self._gpu.set(self._gpu_bytes(), tags=self._tags)
        self._last = (step, now_s)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch ended, with these figures."""
        if "tokens_per_s" in record:
            self._tokens.set(record["tokens_per_s"], tags=self._tags)
