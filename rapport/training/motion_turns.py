"""Listener turns as a training reads them, and the stretches of them that form its batches.

Axes: N turns, B batch, T frames, D width of features.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.models.listener.config import PoseKind
from rapport.models.listener.model import to_targets
from rapport.training.motion_config import MotionConfig
from rapport.training.sampler import BatchSampler, IntArray, derive_seed, evaluation_batches

Floats = npt.NDArray[np.floating]


class MotionBatch(NamedTuple):
    """Stretches of turns, padded at the end to the longest."""

    features: Tensor
    """[B, T, D] float32."""
    targets: Tensor
    """[B, T, 3] float32, roll, pitch and yaw in degrees as the model should tell them."""
    lengths: Tensor
    """[B] int64, valid frames of each."""
    scored: Tensor
    """[B, T] bool, which frames count."""

    def to(self, device: torch.device) -> "MotionBatch":
        """The same batch on a device."""
        return MotionBatch(*(tensor.to(device, non_blocking=True) for tensor in self))


class Stretch(NamedTuple):
    """A part of a turn, in frames."""

    turn: int
    heard_from: int
    """The first frame that the network is given."""
    start: int
    """The first frame that counts."""
    stop: int
    """One past the last."""


@dataclass(frozen=True, eq=False)
class Turns:
    """A side of a split: some turns of a corpus."""

    ids: Sequence[str]
    lengths: IntArray
    """[N] frames of each."""
    load: Callable[[str], tuple[Floats, Floats]] = field(repr=False)
    """Turn id to features [T, D], and roll, pitch and yaw [T, 3] in degrees."""
    pose: PoseKind = "relative"
    """What the targets are counted from."""

    def __len__(self) -> int:
        return len(self.ids)

    def turn(self, index: int) -> tuple[Floats, npt.NDArray[np.float32]]:
        """Features [T, D] and targets [T, 3] of one turn."""
        features, degrees = self.load(self.ids[index])
        return features, to_targets(degrees, self.pose)

    def __iter__(self) -> Iterator[tuple[Floats, npt.NDArray[np.float32]]]:
        return (self.turn(index) for index in range(len(self)))

    def batch(self, stretches: Sequence[Stretch]) -> MotionBatch:
        """These stretches; targets are counted from the middle of the whole turn all the same."""
        parts = []
        for turn, heard_from, _, stop in stretches:
            features, targets = self.turn(turn)
            parts.append((features[heard_from:stop], targets[heard_from:stop]))
        lengths = [len(features) for features, _ in parts]
        shape = (len(parts), max(lengths))
        batch = MotionBatch(
            torch.zeros(*shape, parts[0][0].shape[1]), torch.zeros(*shape, 3), torch.tensor(lengths), torch.zeros(shape, dtype=torch.bool)
        )
        for row, (stretch, (features, targets)) in enumerate(zip(stretches, parts, strict=True)):
            batch.features[row, : lengths[row]] = torch.from_numpy(np.array(features, np.float32))
            batch.targets[row, : lengths[row]] = torch.from_numpy(targets)
            batch.scored[row, stretch.start - stretch.heard_from : lengths[row]] = True
        return batch

    def whole(self, indices: IntArray) -> list[Stretch]:
        """Turns from end to end."""
        return [Stretch(int(index), 0, 0, int(self.lengths[index])) for index in indices]

    def evaluation_batches(self, frames: float) -> list[IntArray]:
        """All turns, each once, those of like length together; with padding at most so many frames a batch, or one turn."""
        return evaluation_batches(self.lengths, frames)


class StretchSampler:
    """Which stretches form which batch: a pure function of seed and epoch, so that a training can be continued at any step."""

    def __init__(self, lengths: IntArray, config: MotionConfig, frame_rate_hz: int, seed: int) -> None:
        """`lengths` [N] are frames of each turn. Raises RapportError when there is none."""
        self.lengths, self.seed = lengths, seed
        self.crop = round(config.crop_s * frame_rate_hz) or int(lengths.max(initial=1))
        self.warmup = round(config.warmup_s * frame_rate_hz)
        # Of a turn as many stretches as fit into it side by side: a long one teaches more than a short one.
        self.turns = np.repeat(np.arange(len(lengths)), np.maximum(1, lengths // self.crop))
        self.batches = BatchSampler(
            np.minimum(lengths[self.turns], self.crop), batch_size=config.batch_size, seed=seed, bucket_batches=config.bucket_batches
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)

    def epoch(self, epoch: int) -> list[list[Stretch]]:
        """The batches of an epoch, in order."""
        drawn = np.random.default_rng(derive_seed(self.seed, "stretches", epoch)).random(len(self.turns))
        spare = np.maximum(0, self.lengths[self.turns] - self.crop)
        # From half a stretch before the turn to half a one after it, so that its ends come about as often as its middle.
        starts = (drawn * (spare + self.crop) - self.crop / 2).clip(0, spare).astype(np.int64)
        return [[self._stretch(int(self.turns[place]), int(starts[place])) for place in batch] for batch in self.batches.epoch(epoch)]

    def _stretch(self, turn: int, start: int) -> Stretch:
        return Stretch(turn, max(0, start - self.warmup), start, min(start + self.crop, int(self.lengths[turn])))
