"""What a classifier says about whole, unchanged clips."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.inference import Predictor
from rapport.training.clips import Batch, Clips, read_ahead
from rapport.training.metrics import classification_metrics, confusion_counts, scores_of
from rapport.training.sampler import evaluation_batches
from rapport.training.world import World


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of every clip of a set."""

    clips: Clips
    probabilities: npt.NDArray[np.float64]
    """[N, E], in the order of `clips.rows`."""
    domain_accuracy: float | None = None
    """Share of clips whose corpus the domain branch recognised."""

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """[N] index of the most probable emotion."""
        return self.probabilities.argmax(1)

    @property
    def loss(self) -> float:
        """Mean negative log likelihood in nats."""
        chosen = self.probabilities[np.arange(len(self.clips)), self.clips.targets]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    def brief(self) -> dict[str, Any]:
        """The figures of one epoch: `uar`, `wa`, `macro_f1`, `loss`, `recall` of each emotion, `per_corpus` UAR, and `confusion`."""
        targets, classes, count = self.clips.targets, self.classes, len(self.clips.emotions)
        confusion = confusion_counts(targets, classes, count)
        support = confusion.sum(1)
        corpora = {
            name: float(scores_of(confusion_counts(targets[mine], classes[mine], count))["uar"])
            for index, name in enumerate(self.clips.corpora)
            if (mine := self.clips.domains == index).any()
        }
        return {
            **{name: float(value) for name, value in scores_of(confusion).items()},
            "loss": self.loss,
            "count": len(self.clips),
            "recall": {e: float(confusion[i, i] / support[i]) for i, e in enumerate(self.clips.emotions) if support[i]},
            "per_corpus": corpora,
            "confusion": confusion.tolist(),
            **({} if self.domain_accuracy is None else {"domain_wa": self.domain_accuracy}),
        }

    def full(self, seed: int = 0) -> dict[str, Any]:
        """The figures of a report, with calibration and 95 % intervals; see `classification_metrics`."""
        rows = self.clips.rows
        figures = classification_metrics(
            self.clips.targets,
            self.classes,
            self.probabilities,
            [row.speaker_id for row in rows],
            [row.corpus for row in rows],
            self.clips.emotions,
            seed=seed,
        )
        return {**figures, "loss": self.loss}


@torch.no_grad()
def predict_clips(
    model: SpeechEmotionClassifier, clips: Clips, *, batch_s: float = 240.0, threads: int = 0, world: World | None = None
) -> Predictions:
    """The model's predictions, made in float32 and in evaluation mode; the workers share the clips, and each gets all predictions."""
    world = world or World()
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    batches = evaluation_batches(clips.durations_s, batch_s, rank=world.rank, world_size=world.size)
    tasks: list[Callable[[], Batch]] = [partial(clips.batch, indices) for indices in batches]
    found, domains_right = _nothing(clips), 0
    for indices, batch in zip(batches, read_ahead(tasks, threads), strict=True):
        batch = batch.to(device)
        output = model(batch.waveforms, batch.lengths)
        found[indices] = output.logits.double().softmax(1).cpu().numpy()
        if output.domain_logits is not None:
            domains_right += int((output.domain_logits.argmax(1) == batch.domains).sum())
    model.train(was_training)
    right = sum(world.gather(domains_right)) / max(1, len(clips)) if model.domain is not None else None
    return Predictions(clips, _shared(found, world), right)


def answer_clips(model: SpeechEmotionClassifier, clips: Clips, *, batch_s: float = 240.0, world: World | None = None) -> Predictions:
    """What the model will answer once saved, with everything that its `decoding` settings ask for; shared as by `predict_clips`."""
    world = world or World()
    was_training = model.training
    predictor = Predictor(model, device=str(next(model.parameters()).device), batch_s=batch_s)
    found = _nothing(clips)
    for indices in evaluation_batches(clips.durations_s, batch_s, rank=world.rank, world_size=world.size):
        found[indices] = predictor.probabilities([clips.load(clips.rows[i].utterance_id) for i in indices])
    model.train(was_training)
    return Predictions(clips, _shared(found, world))


def _nothing(clips: Clips) -> npt.NDArray[np.float64]:
    return np.full((len(clips), len(clips.emotions)), np.nan)


def _shared(found: npt.NDArray[np.float64], world: World) -> npt.NDArray[np.float64]:
    """The rows that any worker found."""
    for part in world.gather(found):
        found = np.where(np.isnan(found), part, found)
    return found
