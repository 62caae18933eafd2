"""Training of a speech emotion classifier: a plain loop that needs no cluster.

    result = train_classifier(model, data, config, seed=0, report=lambda report: None)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there and ends with the same weights and figures as one that was never interrupted. With several workers (`World`), each runs this
function on the same data and the network that `wrap` returns averages their gradients.
"""

import time
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
from rapport.training.metrics import scores_of
from rapport.training.numerics import fast_bf16, finite, seed_everything
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
    while training.progress.epoch < config.epochs and not training.progress.stopped:
        training.train_epoch()
        training.finish_epoch()
    return training.result()


class _Training:
    """The state of one training on one worker, and what is done to it."""

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
        self.validates = data.validation is not None and len(data.validation) > 0
        if not self.validates and (config.selection == "best" or config.patience):
            raise RapportError(
                "there are no validation clips to select an epoch or stop by: hold some out (split.validation), "
                "or set selection to last and patience to 0"
            )
        self.model, self.data, self.config, self.seed, self.report, self.world = model, data, config, seed, report, world
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
        self.progress = ClassifierProgress()
        self.totals = Totals(len(data.train.emotions), self.device)
        self.best: Weights | None = None
        self.clock = time.monotonic()

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
            every = self.config.save_every_steps
            self._tell(save=bool(every) and self.progress.step % every == 0 and not last)

    def finish_epoch(self) -> None:
        """Evaluate if it is time, keep the weights if they are the best, and tell."""
        progress, config = self.progress, self.config
        loss, confusion, domains_right = self.totals.summed(self.world)
        clips = max(1, int(confusion.sum()))
        final = progress.epoch + 1 == config.epochs
        self.world.share_(b for b in self._selectable().values() if b.is_floating_point())
        predictions = self._evaluate() if self.validates and (final or (progress.epoch + 1) % config.evaluate_every == 0) else None
        progress.epoch, progress.batch = progress.epoch + 1, 0
        scores = {name: float(value) for name, value in scores_of(confusion).items()}
        record: dict[str, Any] = {
            "epoch": progress.epoch,
            "step": progress.step,
            "learning_rate": learning_rates(self.optimizer),
            "train": {"loss": finite(loss / clips, progress.step), **scores},
            "validation": predictions.brief() if predictions else None,
        }
        if self.model.domain is not None:
            record["train"]["domain_wa"] = domains_right / clips
        if predictions is not None:
            record["best"] = self._select(record["validation"])
        progress.stopped = bool(config.patience) and progress.stale >= config.patience
        self.totals.clear()
        record["seconds"] = self._tick()
        progress.history.append(record)
        done = final or progress.stopped
        self._tell(record=record, save=done or progress.epoch % config.save_every_epochs == 0)

    def result(self) -> ClassifierResult:
        """The training's outcome; the test clips are looked at here and nowhere else."""
        last = copy_of(self._selectable(), "cpu")
        load_learned(self.model, self.best if self.config.selection == "best" and self.best is not None else last)
        chosen = self.progress.best_epoch if self.config.selection == "best" else self.progress.epoch
        answer = partial(answer_clips, self.model, batch_s=self.config.evaluation_batch_s, world=self.world)
        validation = answer(self.data.validation) if self.data.validation is not None and self.validates else None
        tests = {name: answer(clips) for name, clips in self.data.tests.items() if len(clips)}
        self._tick()
        progress = self.progress
        return ClassifierResult(progress.history, chosen or 0, progress.stopped, progress.seconds, last, validation, tests)

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

    def _tell(self, *, save: bool, record: dict[str, Any] | None = None) -> None:
        checkpoint = None
        if save:
            progress = self.progress
            progress.loss_sum, confusion, progress.domains_right = self.totals.summed(self.world)
            finite(progress.loss_sum, progress.step)
            progress.confusion = confusion.tolist()
            self._tick()
            mean = self.mean.weights if self.mean is not None else None
            checkpoint = Checkpoint(progress, learned(self.model), optimizer_tensors(self.optimizer), mean, self.best)
        rates = learning_rates(self.optimizer)
        self.report(Report(self.progress.epoch, self.progress.step, self.total_steps, rates, self.totals.mean_loss, record, checkpoint))

    def _selectable(self) -> Weights:
        """What is evaluated, and may become the model."""
        return self.mean.weights if self.mean is not None else learned(self.model)

    def _evaluate(self) -> Predictions:
        with borrowed(self.model, self.mean.weights if self.mean is not None else None):
            clips, batch_s = self.data.validation, self.config.evaluation_batch_s
            assert clips is not None
            return predict_clips(self.model, clips, batch_s=batch_s, threads=self.threads, world=self.world)

    def _select(self, figures: dict[str, Any]) -> bool:
        """Keep the weights if they are the best so far; says whether they are."""
        progress, value = self.progress, float(figures[self.config.select_by])
        score = -value if self.config.select_by == "loss" else value
        if progress.best_score is not None and score <= progress.best_score:
            progress.stale += 1
            return False
        progress.best_score, progress.best_epoch, progress.stale = score, progress.epoch, 0
        if self.config.selection == "best":
            self.best = copy_of(self._selectable(), "cpu")
        return True

    def _tick(self) -> float:
        """Add the time since the last call to the training's; gives the sum."""
        now = time.monotonic()
        self.progress.seconds += now - self.clock
        self.clock = now
        return self.progress.seconds
