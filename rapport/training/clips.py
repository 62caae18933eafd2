"""Labelled clips as a training loop reads them: any clip by index, decoded when asked for, and batches of them read ahead."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.core.schema import Utterance

Samples = npt.NDArray[np.float32]
Augment = Callable[[Samples, int], Samples]
"""A clip [S] and a seed to a changed clip [S'], a pure function that threads may call at once."""

T = TypeVar("T")


class Batch(NamedTuple):
    """Clips padded on the right to the longest."""

    waveforms: Tensor
    """[B, S] float32, 16 kHz."""
    lengths: Tensor
    """[B] int64, valid samples of each."""
    targets: Tensor
    """[B] int64, index of the emotion."""
    domains: Tensor
    """[B] int64, index of the corpus."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


@dataclass(frozen=True, eq=False)
class Clips:
    """A side of a split.

    Raises RapportError when a row has an emotion or corpus that is not listed.
    """

    rows: Sequence[Utterance]
    load: Callable[[str], Samples]
    """Utterance id to its speech [S], float32, 16 kHz mono."""
    emotions: tuple[str, ...]
    """The classes, in the order of the model's logits."""
    corpora: tuple[str, ...]
    """The domains, in a fixed order."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.emotion not in self.emotions or row.corpus not in self.corpora:
                raise RapportError(
                    f"{row.utterance_id} is {row.emotion!r} of {row.corpus!r}; wanted one of {', '.join(self.emotions)} "
                    f"of {', '.join(self.corpora)}"
                )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """[N] index of each clip's emotion."""
        return np.array([self.emotions.index(str(row.emotion)) for row in self.rows], dtype=np.int64)

    @cached_property
    def domains(self) -> npt.NDArray[np.int64]:
        """[N] index of each clip's corpus."""
        return np.array([self.corpora.index(row.corpus) for row in self.rows], dtype=np.int64)

    @cached_property
    def durations_s(self) -> npt.NDArray[np.float64]:
        """[N] length of each clip."""
        return np.array([row.duration_s or 0.0 for row in self.rows], dtype=np.float64)

    @property
    def counts(self) -> dict[str, int]:
        """Clips of each emotion, of those that occur."""
        found = Counter(row.emotion for row in self.rows)
        return {emotion: found[emotion] for emotion in self.emotions if found[emotion]}

    def batch(self, indices: Sequence[int] | npt.NDArray[np.int64], change: Callable[[Samples, str], Samples] | None = None) -> Batch:
        """The clips at these indices, each passed through `change` with its utterance id."""
        ids = [self.rows[i].utterance_id for i in indices]
        clips = [self.load(name) if change is None else change(self.load(name), name) for name in ids]
        waveforms = torch.zeros(len(clips), max(1, *(len(clip) for clip in clips)))
        for row, clip in zip(waveforms, clips, strict=True):
            row[: len(clip)] = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
        lengths = torch.tensor([len(clip) for clip in clips])
        chosen = np.asarray(indices)
        return Batch(waveforms, lengths, torch.from_numpy(self.targets[chosen]), torch.from_numpy(self.domains[chosen]))


@dataclass(frozen=True, eq=False)
class ClassifierData:
    """What one training reads."""

    train: Clips
    validation: Clips | None = None
    """Clips of other speakers, to select the model by; never augmented."""
    tests: dict[str, Clips] = field(default_factory=dict)
    """Named sets that are looked at once, after the training."""
    augment: Augment | None = None
    """Applied to training clips only."""


def read_ahead(tasks: Iterable[Callable[[], T]], threads: int) -> Generator[T]:
    """The results of the tasks in order, computed by threads a little ahead of their use; by the caller itself with 0 threads."""
    if threads == 0:
        yield from (task() for task in tasks)
        return
    queue = iter(tasks)
    with ThreadPoolExecutor(threads, thread_name_prefix="clips") as pool:
        pending: list[Future[T]] = [pool.submit(task) for task in islice(queue, 2 * threads)]
        try:
            while pending:
                result = pending.pop(0).result()
                pending.extend(pool.submit(task) for task in islice(queue, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()
