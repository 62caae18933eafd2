"""Baselines: floors as published, and something learned from words and from states."""

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from transformers import AutoModel

from rapport.core.conversations import Conversation, Line
from rapport.core.errors import RapportError
from rapport.models.erc.baselines import EncoderProbe, LabelledLine, Majority, Tfidf, labelled_lines
from rapport.models.erc.model_config import EncoderProbeConfig, TfidfConfig
from tests.models.erc.tiny_llm import base_folder

WORDS = {
    "joyful": ["we won", "great news", "what a day"],
    "sad": ["he left", "I miss it", "bad luck"],
    "angry": ["get out", "how dare you"],
}


def _talk(number: int, split: str = "train") -> Conversation:
    random = np.random.default_rng(number)
    labels = list(WORDS)
    lines = [Line(0, "u0", "Ana", "Hello there.", None)]
    for turn in range(1, 6):
        label = labels[int(random.integers(3))]
        text = f"{random.choice(WORDS[label])} {random.choice(['today', 'again', 'at last'])}"
        lines.append(Line(turn, f"u{turn}", ["Ben", "Ana"][turn % 2], text, label))
    return Conversation(f"d{number}", "toy", split, tuple(lines))


TRAIN = labelled_lines([_talk(n) for n in range(30)])
TEST = labelled_lines([_talk(n, "test") for n in range(100, 110)])


def _accuracy(answers: dict[str, str]) -> float:
    return float(np.mean([answers[line.example_id] == line.label for line in TEST]))


def test_lines_carry_what_was_said_before_them_and_nothing_else() -> None:
    talk = _talk(0)
    lines = labelled_lines([talk])
    assert [line.example_id for line in lines] == [f"toy/train/d0/{turn}/erc" for turn in range(1, 6)]
    assert lines[0].history == ("Ana: Hello there.",)
    assert lines[3].history == tuple(f"{line.speaker}: {line.text}" for line in talk.lines[:4])
    assert labelled_lines([talk], history=2)[3].history == lines[3].history[-2:]
    assert labelled_lines([talk], history=0)[3].history == ()


@pytest.mark.parametrize(
    ("counts", "neutral", "floor"),
    [
        ((1256, 281, 50, 208, 402, 68, 345), 0, 31.3),
        ((217, 86, 111, 288, 70, 96, 116), 3, 13.3),
        ((144, 245, 384, 170, 299, 381), 2, 9.1),
    ],
    ids=["meld", "emorynlp", "iemocap"],
)
def test_the_floor_of_always_neutral_is_the_published_one(counts: tuple[int, ...], neutral: int, floor: float) -> None:
    gold = [label for label, count in enumerate(counts) for _ in range(count)]
    score = 100 * f1_score(gold, [neutral] * len(gold), average="weighted", zero_division=0)
    assert score == pytest.approx(floor, abs=0.06)


def test_the_majority_is_counted_on_the_training_side() -> None:
    lines = [LabelledLine(str(n), "", (), label) for n, label in enumerate(["sad", "joyful", "sad"])]
    assert Majority().fit(lines).predict(TEST[:2]) == {line.example_id: "sad" for line in TEST[:2]}
    with pytest.raises(RapportError, match="the training side is empty"):
        Majority().fit([])


def test_words_tell_labels() -> None:
    assert _accuracy(Tfidf(TfidfConfig(min_count=1)).fit(TRAIN).predict(TEST)) > 0.95
    assert Tfidf(TfidfConfig(balanced=True)).fit(TRAIN).predict([]) == {}


def test_words_of_the_lines_before_are_features_of_their_own() -> None:
    """The label is in the line before, whose words would mislead as words of the line itself."""
    random = np.random.default_rng(0)
    lines = []
    for n in range(200):
        own, before = random.choice(["yes", "no"]), random.choice(["yes", "no"])
        lines.append(LabelledLine(str(n), f"{own} indeed", (f"Ana: {before} indeed",), "glad" if before == "yes" else "sad"))
    train, test = lines[:150], lines[150:]

    def score(history: int) -> float:
        answers = Tfidf(TfidfConfig(history=history, min_count=1)).fit(train).predict(test)
        return float(np.mean([answers[line.example_id] == line.label for line in test]))

    assert score(1) == 1
    assert score(0) < 0.7


def test_nothing_to_learn_from_is_told() -> None:
    one = [line for line in TRAIN if line.label == "sad"]
    with pytest.raises(RapportError, match=r"have the labels \['sad'\]: wanted at least two"):
        Tfidf().fit(one)
    with pytest.raises(RapportError, match="lower min_count 1000"):
        Tfidf(TfidfConfig(min_count=1000)).fit(TRAIN)


def test_states_of_a_frozen_model_tell_labels(tmp_path) -> None:
    base_folder(tmp_path)
    probe = EncoderProbe(EncoderProbeConfig(source=str(tmp_path)))
    assert _accuracy(probe.fit(TRAIN).predict(TEST)) > 0.7
    assert probe.predict([]) == {}


def test_a_state_is_the_mean_over_the_line_alone_in_any_batch(tmp_path) -> None:
    import torch

    base_folder(tmp_path)
    probe = EncoderProbe(EncoderProbeConfig(source=str(tmp_path), history=2, batch_tokens=64))
    states = probe.states(TEST[:8])
    assert np.allclose(states[3], probe.states([TEST[3]])[0], atol=1e-5)
    network, tokenizer = AutoModel.from_pretrained(tmp_path).eval(), probe._tokenizer
    line = TEST[3]
    before = tokenizer(" ".join(line.history[-2:]) + " ", add_special_tokens=False)["input_ids"]
    own = tokenizer(line.text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        read = network(torch.tensor([[tokenizer.bos_token_id, *before, *own]])).last_hidden_state[0]
    assert np.allclose(states[3], read[-len(own) :].mean(0).numpy(), atol=1e-5)
    with pytest.raises(RapportError, match="cannot load the encoder"):
        EncoderProbe(EncoderProbeConfig(source=str(tmp_path / "none")))
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "embed_tokens" not in k}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RapportError, match=r"lacks 1 weights, such as embed_tokens\.weight"):
        EncoderProbe(EncoderProbeConfig(source=str(tmp_path)))
