"""Answers of a closed set: likelihoods as if each were read by itself."""

import pytest
import torch

from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError
from rapport.models.erc.model_config import ScoringConfig
from rapport.models.erc.scoring import Choice, ErcScorer, Scored
from tests.models.erc.tiny_llm import prompt, tiny

CORPORA = ["meld", "emorynlp", "iemocap"]
CHOICES = [Choice(f"q{n}", prompt(n), LABELS[CORPORA[n % 3]] if n % 4 else ("Tom", "Lucy Ann")) for n in range(9)]


def _scores(choices: list[Choice] = CHOICES, **settings: float) -> dict[str, Scored]:
    return {s.example_id: s for s in ErcScorer(tiny(), ScoringConfig(**settings)).score(choices)}


@torch.no_grad()
def _by_itself(choice: Choice, label: str, end: bool) -> tuple[float, int]:
    """Log-likelihood of one answer by one pass over prompt and answer."""
    model = tiny()
    collator = model.collator()
    read, answer = collator.prompt_ids([choice.text])[0].tolist(), collator.answer_ids([label], end=end)[0].tolist()
    logits = model.base(torch.tensor([read + answer])).logits[0].log_softmax(-1)
    return sum(float(logits[len(read) - 1 + n, token]) for n, token in enumerate(answer)), len(answer)


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_scores_equal_those_of_reading_each_answer_by_itself(end: bool, normalised: bool) -> None:
    found = _scores(end=end, length_normalised=normalised)
    assert set(found) == {c.example_id for c in CHOICES}
    for choice in CHOICES:
        for label, value in zip(choice.labels, found[choice.example_id].log_likelihoods, strict=True):
            total, tokens = _by_itself(choice, label, end)
            assert value == pytest.approx(total / tokens if normalised else total, abs=2e-3, rel=1e-4)


def test_probabilities_are_those_of_the_set_and_the_label_is_the_likeliest() -> None:
    for choice in _scores().values():
        assert sum(choice.probabilities) == pytest.approx(1)
        exact = torch.tensor(choice.log_likelihoods, dtype=torch.float64).softmax(0).tolist()
        assert choice.probabilities == pytest.approx(exact)
        assert choice.label == choice.labels[choice.probabilities.index(max(choice.probabilities))]


def test_a_score_depends_on_neither_batch_nor_order() -> None:
    together, alone = _scores(), _scores(CHOICES[::-1], batch_rows=1)
    for name, one in together.items():
        assert one.log_likelihoods == pytest.approx(alone[name].log_likelihoods, abs=1e-3)


def test_a_prompt_is_read_once_for_all_its_answers() -> None:
    model, read = tiny(), []
    handle = model.base.get_input_embeddings().register_forward_hook(lambda _m, inputs, _o: read.append(inputs[0].shape))
    _scores([CHOICES[1]])
    handle.remove()
    answers, tokens = read[1]
    assert len(read) == 2
    assert read[0][0] == 1
    assert answers == len(CHOICES[1].labels)
    assert tokens < 12


def test_answers_that_cannot_be_told_apart_are_refused() -> None:
    for labels in ((), ("sad", "sad"), ("sad", "")):
        with pytest.raises(RapportError, match="wanted different answers, none empty"):
            list(ErcScorer(tiny()).score([Choice("q", prompt(0), labels)]))
    assert _scores([]) == {}
