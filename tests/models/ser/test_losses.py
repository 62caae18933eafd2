"""The losses agree with torch where torch has them, and with their definitions where it has not."""

import pytest
import torch
import torch.nn.functional as F

from rapport.models.ser.losses import balanced_weights, domain_loss, emotion_loss, triplet_loss
from rapport.models.ser.mixup import draw_mix

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 3, 0, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    wanted = F.cross_entropy(LOGITS, TARGETS, label_smoothing=smoothing)
    torch.testing.assert_close(emotion_loss(LOGITS, TARGETS, label_smoothing=smoothing), wanted)
    soft = LOGITS.flip(0).softmax(1)
    torch.testing.assert_close(emotion_loss(LOGITS, soft), F.cross_entropy(LOGITS, soft))


def test_class_weights_multiply_and_balance() -> None:
    weights = balanced_weights(torch.tensor([3, 1, 1, 1]))
    assert float(weights[TARGETS].mean()) == pytest.approx(1)
    assert float(weights[0] * 3) == pytest.approx(float(weights[1]))
    wanted = (F.cross_entropy(LOGITS, TARGETS, reduction="none") * weights[TARGETS]).mean()
    torch.testing.assert_close(emotion_loss(LOGITS, TARGETS, weights=weights), wanted)
    assert balanced_weights(torch.tensor([5, 0, 5])).tolist() == pytest.approx([1, 0, 1])
    assert balanced_weights(torch.tensor([9, 1]), strength=0).tolist() == pytest.approx([1, 1])


def test_focal_loss_forgives_what_is_already_right() -> None:
    p = LOGITS.softmax(1).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(emotion_loss(LOGITS, TARGETS, focal_gamma=2), (-((1 - p) ** 2) * p.log()).mean())


def test_emotions_that_a_corpus_lacks_are_left_alone() -> None:
    logits = LOGITS.clone().requires_grad_()
    allowed = torch.tensor([[True, True, False, True]]).expand(6, 4).clone()
    allowed[2] = True
    emotion_loss(logits, TARGETS, allowed=allowed, label_smoothing=0.1).backward()
    assert logits.grad is not None
    assert (logits.grad[[0, 1, 3, 4, 5], 2] == 0).all()
    assert (logits.grad[2] != 0).all()
    three = LOGITS[:, [0, 1, 3]]
    wanted = F.cross_entropy(three[:2], TARGETS[:2], label_smoothing=0.1)
    torch.testing.assert_close(emotion_loss(LOGITS[:2], TARGETS[:2], allowed=allowed[:2], label_smoothing=0.1), wanted)


def test_a_mixed_label_is_never_impossible() -> None:
    soft = torch.tensor([[0.7, 0.0, 0.3, 0.0]])
    allowed = torch.tensor([[True, True, False, False]])
    assert torch.isfinite(emotion_loss(LOGITS[:1], soft, allowed=allowed, focal_gamma=1))


def test_the_domain_loss_leaves_clips_out() -> None:
    include = torch.tensor([True, False, True, False, False, False])
    wanted = F.cross_entropy(LOGITS[[0, 2], :2], TARGETS[[1, 0]])
    torch.testing.assert_close(domain_loss(LOGITS[:, :2], torch.tensor([1, 0, 0, 1, 1, 1]), include), wanted)
    assert domain_loss(LOGITS[:, :2], torch.zeros(6, dtype=torch.long), torch.zeros(6, dtype=torch.bool)) == 0


def test_triplets_pull_classes_apart() -> None:
    torch.manual_seed(0)
    points = torch.randn(8, 4, requires_grad=True)
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    optimiser = torch.optim.SGD([points], lr=0.5)
    for _ in range(200):
        optimiser.zero_grad()
        triplet_loss(points, targets).backward()
        optimiser.step()
    assert triplet_loss(points, targets) < 1e-3
    alone = triplet_loss(points, torch.arange(8))
    assert alone == 0
    alone.backward()


def test_mix_shares_favour_the_clip_itself_and_follow_the_seed() -> None:
    torch.manual_seed(0)
    mix = draw_mix(64, 0.3, per_clip=True)
    assert mix is not None
    assert (mix.share >= 0.5).all()
    assert (mix.share <= 1).all()
    assert len(set(mix.share.tolist())) > 32
    assert sorted(mix.partner.tolist()) == list(range(64))
    torch.manual_seed(0)
    again = draw_mix(64, 0.3, per_clip=True)
    assert again is not None
    assert torch.equal(mix.share, again.share)
    assert draw_mix(64, 0.0) is None
    one = draw_mix(8, 0.3)
    assert one is not None
    assert len(set(one.share.tolist())) == 1
    targets = torch.eye(8)
    torch.testing.assert_close(one.blend(targets).sum(1), torch.ones(8))
