"""Training of a speech emotion classifier: a plain loop that needs no cluster.

    result = train_classifier(model, data, config, seed=0, report=lambda report: None)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there and ends with the same weights and figures as one that was never interrupted. With several workers (`World`), each runs this
function on the same data and the network that `wrap` returns averages their gradients.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.mixup import draw_mix
from rapport.training.checkpoint import Checkpoint, ClassifierProgress
from rapport.training.clips import Batch, ClassifierData, Samples, read_ahead
from rapport.training.config import ClassifierConfig
from rapport.training.evaluation import Predictions, answer_clips, predict_clips
from rapport.training.loop import EpochLoop
from rapport.training.metrics import scores_of
from rapport.training.numerics import fast_bf16, seed_everything
from rapport.training.objective import Objective, Totals
from rapport.training.optim import build_optimizer, learning_rates, load_optimizer_tensors, optimizer_tensors, set_rate
from rapport.training.report import Report
from rapport.training.sampler import BatchSampler, derive_seed
from rapport.training.schedules import rate_schedule
from rapport.training.weights import RunningMean, Weights, borrowed, copy_of, learned, load_learned
from rapport.training.world import World


@dataclass(frozen=True)
class ClassifierResult:
    """A finished training. The model holds the selected weights."""

    history: list[dict[str, Any]]
    """The records of all epochs."""
    epoch: int
    """The epoch whose weights were selected, from 1."""
    stopped: bool
    """Whether patience ended the training."""
    seconds: float
    """Time spent in training and evaluation, over all sessions of a resumed one."""
    last: Weights
    """The weights after the last step (their running mean, when one is kept)."""
    validation: Predictions | None
    tests: dict[str, Predictions]


def train_classifier(
    model: SpeechEmotionClassifier,
    data: ClassifierData,
    config: ClassifierConfig,
    *,
    seed: int = 0,
    report: Callable[[Report], None] = lambda report: None,
    checkpoint: Checkpoint[ClassifierProgress] | None = None,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
    world: World | None = None,
) -> ClassifierResult:
    """The trained `model` (changed in place), its history, and its predictions on validation and test clips.

    `wrap` moves the model to its device and makes it average gradients over workers. Raises RapportError when the settings do not fit
    the data, or when the loss stops being a number.
    """
    training = _Training(model, data, config, seed, report, wrap or (lambda network: network), world or World())
    if checkpoint is not None:
        training.restore(checkpoint)
    training.run()
    return training.result()


class _Training(EpochLoop[ClassifierProgress]):
    def __init__(
        self,
        model: SpeechEmotionClassifier,
        data: ClassifierData,
        config: ClassifierConfig,
        seed: int,
        report: Callable[[Report], None],
        wrap: Callable[[nn.Module], nn.Module],
        world: World,
    ) -> None:
        validates = data.validation is not None and len(data.validation) > 0
        missing = "validation clips to select an epoch or stop by: hold some out (split.validation)"
        super().__init__(config, report, ClassifierProgress(), validates=validates, missing=missing)
        self.model, self.data, self.config, self.seed, self.world = model, data, config, seed, world
        self.network = wrap(model)
        self.device = next(model.parameters()).device
        on_gpu = self.device.type == "cuda"
        self.threads = (4 if on_gpu else 0) if config.loader_threads is None else config.loader_threads
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and not model.config.encoder.embedded and fast_bf16(on_gpu))
        self.sampler = BatchSampler(
            data.train.durations_s,
            batch_size=config.batch_size,
            seed=seed,
            bucket_batches=config.bucket_batches,
            targets=data.train.targets.tolist() if config.balanced else None,
            rank=world.rank,
            world_size=world.size,
        )
        self.optimizer = build_optimizer(model, config.optim)
        self.mean = RunningMean(model, config.ema_decay) if config.ema_decay else None
        self.steps_per_epoch = -(-len(self.sampler) // config.accumulate)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.rate = rate_schedule(config.schedule, self.total_steps, self.steps_per_epoch)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.objective = Objective(
            data.train, config.loss, self.device, weighted=not config.balanced, domain_weight=model.config.domain.loss_weight
        )
        self.totals = Totals(len(data.train.emotions), self.device)

    def restore(self, checkpoint: Checkpoint[ClassifierProgress]) -> None:
        """Go on from a checkpoint."""
        load_learned(self.model, checkpoint.weights)
        load_optimizer_tensors(self.optimizer, checkpoint.optimizer)
        if (self.mean is None) != (checkpoint.mean is None):
            raise RapportError("the checkpoint was made with another ema_decay: train under another name, or afresh")
        if self.mean is not None and checkpoint.mean is not None:
            for name, tensor in self.mean.weights.items():
                tensor.copy_(checkpoint.mean[name])
        self.best = checkpoint.best
        self.progress = checkpoint.progress
        if self.world.rank == 0:  # the totals in a checkpoint are those of all workers
            self.totals.restore(self.progress)

    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""
        self.network.train()
        batches = self.sampler.epoch(self.progress.epoch)
        change = self._augmentation(self.progress.epoch) if self.data.augment else None
        tasks = [partial(self.data.train.batch, indices, change) for indices in batches[self.progress.batch :]]
        group: list[Batch] = []
        for batch in read_ahead(tasks, self.threads):
            group.append(batch.to(self.device))
            last = self.progress.batch + len(group) == len(batches)
            if len(group) < self.config.accumulate and not last:
                continue
            self._step(group)
            group = []
            self.tell_step(last=last)

    def finish_epoch(self) -> None:
        """Let all workers have the same running statistics, then do what every loop does."""
        self.world.share_(b for b in self._selectable().values() if b.is_floating_point())
        super().finish_epoch()

    def train_figures(self) -> dict[str, float]:
        """Loss and scores over all workers."""
        loss, confusion, domains_right = self.totals.summed(self.world)
        self.totals.clear()
        clips = max(1, int(confusion.sum()))
        figures = {"loss": loss / clips, **{name: float(value) for name, value in scores_of(confusion).items()}}
        return figures if self.model.domain is None else {**figures, "domain_wa": domains_right / clips}

    def validate(self) -> dict[str, Any]:
        """Loss and scores of what may become the model."""
        clips = self.data.validation
        assert clips is not None
        with borrowed(self.model, self.mean.weights if self.mean is not None else None):
            batch_s = self.config.evaluation_batch_s
            return predict_clips(self.model, clips, batch_s=batch_s, threads=self.threads, world=self.world).brief()

    def result(self) -> ClassifierResult:
        """The training's outcome; the test clips are looked at here and nowhere else."""
        last = copy_of(self._selectable(), "cpu")
        load_learned(self.model, self.best if self.config.selection == "best" and self.best is not None else last)
        answer = partial(answer_clips, self.model, batch_s=self.config.evaluation_batch_s, world=self.world)
        validation = answer(self.data.validation) if self.data.validation is not None and self.validates else None
        tests = {name: answer(clips) for name, clips in self.data.tests.items() if len(clips)}
        self.tick()
        progress = self.progress
        return ClassifierResult(progress.history, self.chosen_epoch(), progress.stopped, progress.seconds, last, validation, tests)

    def _step(self, group: list[Batch]) -> None:
        """One optimiser step on the summed gradients of a group of batches."""
        progress = self.progress
        seed_everything(derive_seed(self.seed, "step", progress.epoch, progress.batch, self.world.rank), self.device)
        rate = self.rate(progress.step)
        set_rate(self.optimizer, rate)
        if self.model.domain is not None and self.config.domain_ramp:
            self.model.domain.set_progress(progress.step / self.total_steps / self.config.domain_ramp)
        self.optimizer.zero_grad(set_to_none=True)
        for place, batch in enumerate(group):
            mix = draw_mix(len(batch.targets), self.config.mixup)
            # Workers need to agree on the sum only.
            with self._no_sync() if place < len(group) - 1 else nullcontext():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                    output = self.network(batch.waveforms, batch.lengths, mix=mix)
                loss = self.objective(output, batch, mix)
                (loss / len(group)).backward()
            self.totals.add(loss, output, batch)
        if self.config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip_norm)
        self.optimizer.step()
        progress.step += 1
        progress.batch += len(group)
        if self.mean is not None:
            self.mean.update(progress.step)

    def _no_sync(self) -> AbstractContextManager[Any]:
        no_sync = getattr(self.network, "no_sync", None)
        return no_sync() if no_sync else nullcontext()

    def _augmentation(self, epoch: int) -> Callable[[Samples, str], Samples]:
        """What changes a clip in this epoch: the same for the same clip, whichever worker reads it and when."""
        augment = self.data.augment
        assert augment is not None
        return lambda samples, name: augment(samples, derive_seed(self.seed, "augment", epoch, name))

    def checkpoint(self) -> Checkpoint[ClassifierProgress]:
        """The training as it stands, with the sums of all workers."""
        progress = self.progress
        progress.loss_sum, confusion, progress.domains_right = self.totals.summed(self.world)
        progress.confusion = confusion.tolist()
        mean = self.mean.weights if self.mean is not None else None
        return Checkpoint(progress, learned(self.model), optimizer_tensors(self.optimizer), mean, self.best)

    def keep(self) -> Weights:
        """A copy of what was evaluated."""
        return copy_of(self._selectable(), "cpu")

    def rates(self) -> dict[str, float]:
        """Of `encoder` and `head`, as far as they train."""
        return learning_rates(self.optimizer)

    def mean_loss(self) -> float:
        """Over clips."""
        return self.totals.mean_loss()

    def _selectable(self) -> Weights:
        """What is evaluated, and may become the model."""
        return self.mean.weights if self.mean is not None else learned(self.model)
