"""Losses of emotion classification. Axes: B batch, E emotions, C corpora, D width."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Not -inf: a smoothed target of exactly 0 times -inf would be NaN.
_IMPOSSIBLE = -1e4


def balanced_weights(counts: Tensor, strength: float = 1.0) -> Tensor:
    """[E] weights of classes seen `counts` [E] times, (1 / count) ** strength, scaled so that the mean over clips is 1.

    A class never seen gets weight 0; it cannot be in a batch.
    """
    counts = counts.double()
    weights = torch.where(counts > 0, counts.clamp(min=1) ** -strength, 0.0)
    return (weights * counts.sum() / (weights * counts).sum()).float()


def soft_targets(targets: Tensor, emotions: int) -> Tensor:
    """[B, E] one-hot rows of class numbers [B]; soft targets [B, E] are given back as they are."""
    return targets.float() if targets.dim() == 2 else F.one_hot(targets, emotions).float()


def emotion_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    focal_gamma: float = 0.0,
    label_smoothing: float = 0.0,
    allowed: Tensor | None = None,
) -> Tensor:
    """Cross-entropy, the mean over the batch.

    `targets` are class numbers [B] or distributions [B, E] (mixup). `weights` [E] multiply each class's term. `focal_gamma` > 0 is the
    focal loss (Lin et al. 2017): a term shrinks as (1 - p) ** gamma. `allowed` [B, E] marks the emotions that a clip's corpus has:
    others get no probability and no smoothing, so that a corpus is not taught that what it lacks never happens.
    """
    soft = soft_targets(targets, logits.shape[1])
    logits = logits.float()
    possible = torch.ones_like(soft)
    if allowed is not None:
        possible = (allowed | (soft > 0)).float()
        logits = logits.masked_fill(possible == 0, _IMPOSSIBLE)
    if label_smoothing:
        soft = (1 - label_smoothing) * soft + label_smoothing * possible / possible.sum(1, keepdim=True)
    log_p = logits.log_softmax(dim=1)
    terms = -soft * log_p
    if focal_gamma:
        terms = terms * (1 - log_p.exp()).clamp(min=0) ** focal_gamma
    if weights is not None:
        terms = terms * weights.to(terms)
    return terms.sum(1).mean()


def domain_loss(logits: Tensor, corpora: Tensor, include: Tensor | None = None) -> Tensor:
    """Cross-entropy of the domain branch's `logits` [B, C] against corpus numbers [B] or distributions [B, C].

    `include` [B] leaves clips out: those of an emotion that one corpus alone has, whose corpus follows from the emotion.
    """
    terms = -(soft_targets(corpora, logits.shape[1]) * logits.float().log_softmax(dim=1)).sum(1)
    if include is None:
        return terms.mean()
    return (terms * include).sum() / include.sum().clamp(min=1)


def triplet_loss(embedding: Tensor, targets: Tensor, margin: float = 0.3) -> Tensor:
    """Batch-hard triplet loss (Hermans et al. 2017) on unit vectors of `embedding` [B, D] and class numbers [B].

    For each clip: the farthest of its class should be nearer than the nearest of any other class, by `margin`. A clip without both
    is left out; 0 when none has both.
    """
    unit = F.normalize(embedding.float(), dim=1)
    distance = (2 - 2 * unit @ unit.T).clamp(min=1e-8).sqrt()  # [B, B]; the gradient of sqrt is infinite at 0
    same = targets[:, None] == targets[None]
    others = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    farthest = distance.masked_fill(~others, -torch.inf).amax(1)
    nearest = distance.masked_fill(same, torch.inf).amin(1)
    usable = others.any(1) & (~same).any(1)
    if not bool(usable.any()):
        return embedding.sum() * 0
    return F.relu(farthest - nearest + margin)[usable].mean()
