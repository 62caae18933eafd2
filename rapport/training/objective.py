"""What a classifier minimises, and how well it does on the clips it trains on."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.models.ser.classifier import SerOutput
from rapport.models.ser.losses import balanced_weights, domain_loss, emotion_loss, soft_targets, triplet_loss
from rapport.models.ser.mixup import Mix
from rapport.training.checkpoint import ClassifierProgress
from rapport.training.clips import Batch, Clips
from rapport.training.config import LossConfig
from rapport.training.world import World


class Objective:
    """The loss of a batch, with what depends on the training clips: weights of emotions, and which corpus has which emotion."""

    def __init__(self, clips: Clips, config: LossConfig, device: torch.device, *, weighted: bool, domain_weight: float) -> None:
        """`weighted` uses the class weights; `domain_weight` is the weight of the domain branch's loss."""
        self.config = config
        self.domain_weight = domain_weight
        emotions, corpora = len(clips.emotions), len(clips.corpora)
        table = np.zeros((corpora, emotions), dtype=np.int64)
        np.add.at(table, (clips.domains, clips.targets), 1)
        counts = torch.from_numpy(table).to(device)
        weighted = weighted and config.class_weight_power > 0
        self.weights = balanced_weights(counts.sum(0), config.class_weight_power).to(device) if weighted else None
        self.allowed = counts > 0 if config.own_emotions_only and corpora > 1 else None
        self.shared = (counts > 0).sum(0) > 1 if config.domain_shared_emotions_only else None

    def __call__(self, output: SerOutput, batch: Batch, mix: Mix | None) -> Tensor:
        """The loss, a scalar; `mix` is how the clips of the batch were blended."""
        config, emotions = self.config, output.logits.shape[1]
        allowed = None if self.allowed is None else self.allowed[batch.domains]
        targets = batch.targets if mix is None else mix.blend(soft_targets(batch.targets, emotions))
        if allowed is not None and mix is not None:
            allowed = allowed | allowed[mix.partner.to(allowed.device)]
        loss = emotion_loss(
            output.logits,
            targets,
            weights=self.weights,
            focal_gamma=config.focal_gamma,
            label_smoothing=config.label_smoothing,
            allowed=allowed,
        )
        if config.triplet_weight:
            loss = loss + config.triplet_weight * triplet_loss(output.embedding, batch.targets, config.triplet_margin)
        if output.domain_logits is not None:
            loss = loss + self.domain_weight * self._domains(output.domain_logits, batch, mix)
        return loss

    def _domains(self, logits: Tensor, batch: Batch, mix: Mix | None) -> Tensor:
        include = None if self.shared is None else self.shared[batch.targets]
        if mix is None:
            return domain_loss(logits, batch.domains, include)
        if include is not None:
            include = include & include[mix.partner.to(include.device)]
        return domain_loss(logits, mix.blend(soft_targets(batch.domains, logits.shape[1])), include)


class Totals:
    """Sums over the clips of an epoch, kept on the device so that no step waits for it."""

    def __init__(self, emotions: int, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.confusion = torch.zeros(emotions * emotions, dtype=torch.int64, device=device)
        self.domains_right = torch.zeros((), dtype=torch.int64, device=device)
        self.emotions = emotions

    @torch.no_grad()
    def add(self, loss: Tensor, output: SerOutput, batch: Batch) -> None:
        """Count one batch; a blended clip counts as its stronger half."""
        self.loss += loss.double() * len(batch.targets)
        cells = batch.targets * self.emotions + output.logits.argmax(1)
        self.confusion += torch.bincount(cells, minlength=len(self.confusion))
        if output.domain_logits is not None:
            self.domains_right += (output.domain_logits.argmax(1) == batch.domains).sum()

    def mean_loss(self) -> float:
        """This worker's mean loss so far."""
        return float(self.loss) / max(1, int(self.confusion.sum()))

    def summed(self, world: World) -> tuple[float, npt.NDArray[np.int64], int]:
        """Summed loss, confusion counts [E, E] and recognised corpora, of all workers. Each worker must call it."""
        parts = world.gather((float(self.loss), self.confusion.cpu().numpy(), int(self.domains_right)))
        confusion = np.sum([part[1] for part in parts], axis=0).reshape(self.emotions, self.emotions)
        return sum(part[0] for part in parts), confusion, sum(part[2] for part in parts)

    def restore(self, progress: ClassifierProgress) -> None:
        """Take up the sums of a checkpoint."""
        self.loss.fill_(progress.loss_sum)
        if progress.confusion:
            self.confusion.copy_(torch.tensor(progress.confusion).flatten())
        self.domains_right.fill_(progress.domains_right)

    def clear(self) -> None:
        """Begin another epoch."""
        for total in (self.loss, self.confusion, self.domains_right):
            total.zero_()
