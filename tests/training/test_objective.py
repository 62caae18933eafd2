import math

import pytest
import torch

from rapport.models.ser.classifier import SerOutput
from rapport.models.ser.mixup import Mix
from rapport.training.checkpoint import ClassifierProgress
from rapport.training.clips import Batch, Clips
from rapport.training.config import LossConfig
from rapport.training.objective import Objective, Totals
from rapport.training.world import World
from tests.training.conftest import CORPORA, EMOTIONS, tone, tone_clips, tone_rows

PLAIN = {"label_smoothing": 0.0, "class_weight_power": 0.0}
CPU = torch.device("cpu")


def output(logits: torch.Tensor, domain_logits: torch.Tensor | None = None) -> SerOutput:
    vectors = torch.nn.functional.normalize(torch.randn(len(logits), 4), dim=1)
    return SerOutput(logits, vectors, vectors, torch.ones(len(logits), 1), torch.ones(len(logits)), domain_logits)


def batch(targets: list[int], domains: list[int]) -> Batch:
    return Batch(torch.zeros(len(targets), 10), torch.full((len(targets),), 10), torch.tensor(targets), torch.tensor(domains))


def objective(clips: Clips, weighted: bool = True, domain_weight: float = 1.0, **changes) -> Objective:
    return Objective(clips, LossConfig(**{**PLAIN, **changes}), CPU, weighted=weighted, domain_weight=domain_weight)


def test_plain_it_is_cross_entropy():
    logits = torch.randn(4, 3)
    found = objective(tone_clips(range(2)))(output(logits), batch([0, 1, 2, 0], [0] * 4), None)
    assert found == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).item())


def test_rare_emotions_weigh_more():
    rows = tone_rows(range(4))
    clips = Clips([row for row in rows if row.emotion != "sad" or row.speaker_id == "tones/0"], tone, EMOTIONS, ("tones",))
    loss = objective(clips, class_weight_power=1.0)
    assert loss.weights is not None
    assert loss.weights[2] / loss.weights[0] == pytest.approx(4)
    assert objective(clips, weighted=False, class_weight_power=1.0).weights is None


def test_a_blended_clip_has_a_blended_target():
    logits = torch.randn(2, 3)
    mix = Mix(torch.tensor([1, 0]), torch.tensor([0.7, 0.7]))
    found = objective(tone_clips(range(2)))(output(logits), batch([0, 2], [0, 0]), mix)
    log_p = logits.log_softmax(1)
    wanted = -(0.7 * log_p[0, 0] + 0.3 * log_p[0, 2] + 0.7 * log_p[1, 2] + 0.3 * log_p[1, 0]) / 2
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_corpus_is_not_taught_that_what_it_lacks_never_happens():
    rows = [*tone_rows(range(2)), *[row for row in tone_rows(range(2), corpus="more") if row.emotion != "sad"]]
    clips = Clips(rows, tone, EMOTIONS, CORPORA)
    logits = torch.zeros(1, 3, requires_grad=True)
    objective(clips, own_emotions_only=True)(output(logits), batch([0], [1]), None).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert logits.grad[0, 1] > 0


def test_the_domain_branch_skips_emotions_of_a_single_corpus():
    rows = [*tone_rows(range(2)), *[row for row in tone_rows(range(2), corpus="more") if row.emotion != "sad"]]
    clips = Clips(rows, tone, EMOTIONS, CORPORA)
    for shared_only, moved in ((True, False), (False, True)):
        domain_logits = torch.zeros(1, 2, requires_grad=True)
        loss = objective(clips, domain_shared_emotions_only=shared_only)
        loss(output(torch.zeros(1, 3), domain_logits), batch([2], [0]), None).backward()
        assert domain_logits.grad is not None
        assert bool(domain_logits.grad.abs().sum() > 0) == moved


def test_the_domain_branch_has_its_weight():
    clips = tone_clips(range(2), corpora=CORPORA)
    logits, domain_logits = torch.zeros(2, 3), torch.zeros(2, 2)
    found = objective(clips, domain_weight=0.25)(output(logits, domain_logits), batch([0, 1], [0, 1]), None)
    assert found.item() == pytest.approx(math.log(3) + 0.25 * math.log(2), rel=1e-5)


def test_totals_survive_a_checkpoint():
    totals = Totals(3, CPU)
    logits = torch.eye(3)
    totals.add(torch.tensor(0.5), output(logits, torch.tensor([[1.0, 0], [1, 0], [0, 1]])), batch([0, 1, 1], [0, 1, 1]))
    loss, confusion, right = totals.summed(World())
    assert (loss, right) == (1.5, 2)
    assert confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert totals.mean_loss() == 0.5
    again = Totals(3, CPU)
    again.restore(ClassifierProgress(loss_sum=loss, confusion=confusion.tolist(), domains_right=right))
    assert again.summed(World())[1].tolist() == confusion.tolist()
    again.clear()
    assert again.summed(World())[0] == 0
