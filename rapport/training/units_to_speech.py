"""Training of Tacotron 2 over units: a plain loop that needs no cluster.

    data = SpokenData([SpokenUnits.of(units, samples) for ...])
    result = train_units_to_speech(build_tacotron(config), data, UnitsToSpeechTrainingConfig(), seed=0)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there, within an epoch too, and ends with the same weights and figures as one that was never interrupted.

Axes: B utterances, U units, T frames, M mel bands, S samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchaudio.models import Tacotron2

from rapport.core.errors import RapportError
from rapport.models.spolacq.tacotron import log_mels
from rapport.training.checkpoint import Checkpoint, Progress
from rapport.training.loop import EpochLoop
from rapport.training.numerics import seed_everything
from rapport.training.optim import adamw, learning_rates, load_optimizer_tensors, optimizer_tensors, set_rate
from rapport.training.report import Report
from rapport.training.sampler import BatchSampler, derive_seed
from rapport.training.schedules import rate_schedule
from rapport.training.units_to_speech_config import UnitsToSpeechTrainingConfig
from rapport.training.weights import Weights, copy_of, learned, load_learned


@dataclass(frozen=True)
class SpokenUnits:
    """An utterance by its units and by its spectrum."""

    units: Tensor
    """int64 [U]"""
    mels: Tensor
    """float32 [T, M]"""

    @classmethod
    def of(cls, units: npt.NDArray[np.integer], samples: npt.NDArray[np.floating]) -> "SpokenUnits":
        """Of units [U] and samples [S] at 22,050 Hz. Raises RapportError when there are none of either."""
        if not len(units) or not len(samples):
            raise RapportError(f"an utterance has {len(units)} units and {len(samples)} samples: wanted some of both")
        return cls(torch.from_numpy(np.array(units, np.int64)), log_mels(torch.from_numpy(np.array(samples, np.float32))).T)


@dataclass(frozen=True)
class SpokenData:
    """What one training reads."""

    train: Sequence[SpokenUnits]
    validation: Sequence[SpokenUnits] = ()


@dataclass
class SpokenProgress(Progress):
    """Where the training stands; `loss_sum` is over utterances."""

    utterances: int = 0
    """Utterances of the epoch under way that were learned from."""


@dataclass(frozen=True)
class UnitsToSpeechResult:
    """A finished training. The model holds the selected weights."""

    history: list[dict[str, Any]]
    """The records of all epochs."""
    epoch: int
    """The epoch whose weights were selected, from 1."""
    stopped: bool
    """Whether patience ended the training."""
    seconds: float
    """Time spent in training and evaluation, over all sessions of a resumed one."""


def train_units_to_speech(
    model: Tacotron2,
    data: SpokenData,
    config: UnitsToSpeechTrainingConfig,
    *,
    seed: int = 0,
    report: Callable[[Report], None] = lambda report: None,
    checkpoint: Checkpoint[SpokenProgress] | None = None,
) -> UnitsToSpeechResult:
    """The trained `model` (changed in place, on its device, left in evaluation mode), and how it went.

    Raises RapportError when there is nothing to learn from, for units without an embedding, or when the loss stops being a number.
    """
    training = _Training(model, data, config, seed, report)
    if checkpoint is not None:
        training.restore(checkpoint)
    training.run()
    return training.result()


def spoken_loss(model: Tacotron2, utterances: Sequence[SpokenUnits]) -> Tensor:
    """Squared errors of the spectra before and after the postnet, and cross-entropy of the stop gate: means over all frames of the batch.

    Padding is left out. (The published means count it in, with errors of nought, which only scales them.)
    """
    device = model.embedding.weight.device
    # The encoder packs its input, which wants the longest first.
    order = sorted(utterances, key=lambda utterance: -len(utterance.units))
    lengths, frames = torch.tensor([len(u.units) for u in order]), torch.tensor([len(u.mels) for u in order])
    units = pad_sequence([u.units for u in order], batch_first=True).to(device)
    mels = pad_sequence([u.mels for u in order], batch_first=True).to(device)  # [B, T, M]
    places = torch.arange(mels.shape[1])
    real, last = (places < frames[:, None]).to(device), (places == frames[:, None] - 1).float().to(device)  # [B, T]
    before, after, gate, _ = model(units, lengths.to(device), mels.transpose(1, 2), frames.to(device))
    spectra = sum(F.mse_loss(told.transpose(1, 2)[real], mels[real]) for told in (before, after))
    return spectra + F.binary_cross_entropy_with_logits(gate[real], last[real])


class _Training(EpochLoop[SpokenProgress]):
    def __init__(
        self, model: Tacotron2, data: SpokenData, config: UnitsToSpeechTrainingConfig, seed: int, report: Callable[[Report], None]
    ) -> None:
        missing = "validation utterances to select by: leave some out"
        super().__init__(config, report, SpokenProgress(), validates=len(data.validation) > 0, missing=missing)
        if not len(data.train):
            raise RapportError("there is no utterance to train on: the training side is empty")
        highest = max(int(u.units.max()) for side in (data.train, data.validation) for u in side)
        if highest >= model.embedding.num_embeddings:
            raise RapportError(f"units reach {highest}: raise voice.tacotron.symbols ({model.embedding.num_embeddings})")
        self.model, self.data, self.config, self.seed = model, data, config, seed
        self.device = model.embedding.weight.device
        lengths = [len(u.mels) for u in data.train]
        self.sampler = BatchSampler(lengths, batch_size=config.batch_size, seed=seed, bucket_batches=config.bucket_batches)
        self.optimizer = adamw(model, config.optim)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.total_steps = config.epochs * len(self.sampler)
        self.rate = rate_schedule(config.schedule, self.total_steps, len(self.sampler))
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)

    def restore(self, checkpoint: Checkpoint[SpokenProgress]) -> None:
        """Go on from a checkpoint."""
        load_learned(self.model, checkpoint.weights)
        load_optimizer_tensors(self.optimizer, checkpoint.optimizer)
        self.best, self.progress = checkpoint.best, checkpoint.progress
        self.loss_sum += self.progress.loss_sum

    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""
        self.model.train()
        batches = self.sampler.epoch(self.progress.epoch)
        for batch in batches[self.progress.batch :]:
            self._step([self.data.train[i] for i in batch])
            self.tell_step(last=self.progress.batch == len(batches))

    def _step(self, utterances: Sequence[SpokenUnits]) -> None:
        progress = self.progress
        seed_everything(derive_seed(self.seed, "step", progress.epoch, progress.batch), self.device)
        set_rate(self.optimizer, self.rate(progress.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss = spoken_loss(self.model, utterances)
        loss.backward()
        if self.config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip_norm)
        self.optimizer.step()
        self.loss_sum += loss.detach().double() * len(utterances)
        progress.utterances += len(utterances)
        progress.step += 1
        progress.batch += 1

    def train_figures(self) -> dict[str, float]:
        """The loss as it was on the way."""
        figures = {"loss": self.mean_loss()}
        self.loss_sum.zero_()
        self.progress.utterances = 0
        return figures

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss of the validation utterances; the prenet's dropout, which stays on in speaking too, is drawn alike every time."""
        self.model.eval()
        seed_everything(derive_seed(self.seed, "validation"), self.device)
        side, size = self.data.validation, self.config.batch_size
        batches = [side[start : start + size] for start in range(0, len(side), size)]
        total = sum(float(spoken_loss(self.model, batch)) * len(batch) for batch in batches)
        return {"loss": total / len(side)}

    def result(self) -> UnitsToSpeechResult:
        """The training's outcome."""
        if self.config.selection == "best" and self.best is not None:
            load_learned(self.model, self.best)
        self.model.eval()
        self.tick()
        progress = self.progress
        return UnitsToSpeechResult(progress.history, self.chosen_epoch(), progress.stopped, progress.seconds)

    def checkpoint(self) -> Checkpoint[SpokenProgress]:
        """The training as it stands."""
        self.progress.loss_sum = float(self.loss_sum)
        return Checkpoint(self.progress, learned(self.model), optimizer_tensors(self.optimizer), None, self.best)

    def keep(self) -> Weights:
        """A copy of what was evaluated."""
        return copy_of(learned(self.model), "cpu")

    def rates(self) -> dict[str, float]:
        """The one rate."""
        return learning_rates(self.optimizer)

    def mean_loss(self) -> float:
        """Over utterances."""
        return float(self.loss_sum) / max(1, self.progress.utterances)
