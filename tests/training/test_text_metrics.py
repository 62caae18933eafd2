import math
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import sacrebleu
import torch
from sklearn.metrics import f1_score
from transformers import BertConfig, BertModel, BertTokenizer

from rapport.core.errors import RapportError
from rapport.training.text_metrics import AnswerPair, AnswerTally
from rapport.training.text_scores import BertScore, Emotions, english_normaliser

EMOTIONS = ("angry", "happy", "neutral", "sad", "surprised")
WORDS = ["we", "have", "seen", "the", "little", "boat", "on", "that", "river", "and", "a", "bird", "in", "the", "old", "tree"]


def some_text(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(WORDS, words)).capitalize() + "."


def garbled(random: np.random.Generator, text: str) -> str:
    return " ".join(w for w in text.split() if random.random() < 0.8)


def some_pairs(count: int, speakers: int | None = 4, seed: int = 0) -> list[AnswerPair]:
    random = np.random.default_rng(seed)
    pairs = []
    for i in range(count):
        text, reply = some_text(random, 7), some_text(random, 9)
        emotion, reply_emotion = random.choice(EMOTIONS, 2).tolist()
        pairs.append(
            AnswerPair(
                answer_id=f"a{i}",
                speaker_id=None if speakers is None else f"s{i % speakers}",
                text=text,
                emotion=emotion,
                reply_emotion=reply_emotion,
                reply_text=reply,
                given_text=garbled(random, text),
                given_emotion=emotion if random.random() < 0.7 else str(random.choice(EMOTIONS)),
                given_reply_emotion=reply_emotion if random.random() < 0.7 else None,
                given_reply_text=garbled(random, reply),
                malformed="no tag" if i % 5 == 0 else None,
            )
        )
    return pairs


def report_of(pairs: list[AnswerPair], **options: int) -> dict:
    tally = AnswerTally(EMOTIONS)
    tally.add(pairs)
    return tally.report(**options)


def test_figures_are_those_of_the_libraries():
    pairs = some_pairs(60)
    figures = {name: f["value"] for name, f in report_of(pairs, resamples=100)["figures"].items()}
    wanted, given = [p.text for p in pairs], [p.given_text or "" for p in pairs]
    plain = english_normaliser()
    assert figures["wer"] == pytest.approx(jiwer.wer(wanted, given))
    assert figures["cer"] == pytest.approx(jiwer.cer(wanted, given))
    assert figures["wer_normalised"] == pytest.approx(jiwer.wer(list(map(plain, wanted)), list(map(plain, given))))
    replies, answers = [p.reply_text or "" for p in pairs], [p.given_reply_text or "" for p in pairs]
    assert figures["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [replies]).score)
    assert figures["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, [replies]).score)
    emotions, heard = [p.emotion for p in pairs], [p.given_emotion for p in pairs]
    assert figures["emotion_weighted_f1"] == pytest.approx(f1_score(emotions, heard, average="weighted"))
    assert figures["emotion_macro_f1"] == pytest.approx(f1_score(emotions, heard, average="macro"))
    assert figures["malformed"] == pytest.approx(0.2)


def test_intervals_hold_their_figure_and_say_what_was_drawn():
    report = report_of(some_pairs(80), resamples=300)
    assert report["interval"] == {"level": 0.95, "unit": "speaker", "units": 4, "resamples": 300}
    for name, figure in report["figures"].items():
        assert figure["low"] - 1e-9 <= figure["value"] <= figure["high"] + 1e-9, name
    assert report["figures"]["wer"]["low"] < report["figures"]["wer"]["high"]


@pytest.mark.parametrize("speakers", [1, None])
def test_answers_are_drawn_where_speakers_cannot_be(speakers):
    interval = report_of(some_pairs(30, speakers), resamples=100)["interval"]
    assert interval["unit"] == "answer"
    assert 25 <= interval["units"] <= 30


def test_it_does_not_matter_how_answers_are_batched():
    pairs = some_pairs(50)
    tally = AnswerTally(EMOTIONS)
    for start in range(0, 50, 7):
        tally.add(pairs[start : start + 7])
    assert tally.report(resamples=100) == report_of(pairs, resamples=100)


def test_what_is_kept_does_not_grow_with_answers():
    tally = AnswerTally(EMOTIONS)
    for seed in range(3):
        tally.add(some_pairs(40, seed=seed))
        kept = len(tally._by_speaker)
        assert kept == 4
    assert tally.count == 120


def test_a_missing_field_is_an_error_and_not_an_exception():
    pair = AnswerPair("a", "s", "the old tree", "sad", "happy", "a bird", malformed="nothing was said")
    report = report_of([pair])
    figures = {name: f["value"] for name, f in report["figures"].items()}
    assert figures["wer"] == 1.0
    assert figures["bleu"] == figures["rouge_l"] == figures["meteor"] == 0.0
    assert figures["emotion_macro_f1"] == 0.0
    assert report["malformed_reasons"] == {"nothing was said": 1}
    sad = report["confusions"]["emotion"]["counts"][EMOTIONS.index("sad")]
    assert sad == [0, 0, 0, 0, 0, 1]


def test_only_what_is_wanted_is_scored():
    report = report_of([AnswerPair("a", "s1", "one two", given_text="one"), AnswerPair("b", "s2", "three", given_text="three")])
    assert set(report["figures"]) == {"malformed", "wer", "wer_normalised", "cer", "cer_normalised"}
    assert report["figures"]["wer"]["value"] == pytest.approx(1 / 3)
    assert report["confusions"] == {}


def test_one_answer_has_a_figure_and_no_interval():
    figure = report_of([AnswerPair("a", None, "one two", given_text="one")])["figures"]["wer"]
    assert figure["value"] == 0.5
    assert math.isnan(figure["low"])


def test_an_unknown_wanted_emotion_is_refused():
    with pytest.raises(RapportError, match="bored"):
        report_of([AnswerPair("a", None, "one", emotion="bored")])


def test_emotions_of_a_stack_are_scored_at_once():
    score = Emotions(("happy", "sad"))
    sums = np.stack([score.statistics(["happy", "sad"], given).sum(0) for given in (["happy", "sad"], [None, "sad"])])
    assert score.scores(sums)["macro_f1"].tolist() == [1.0, 0.5]
    assert score.scores(sums)["accuracy"].tolist() == [1.0, 0.5]


def test_normalised_texts_ignore_case_punctuation_and_contractions():
    plain = english_normaliser()
    assert plain("Mister Smith won't go!") == plain("mr. smith will not go")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(set(WORDS))]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(folder)
    return folder


def test_bert_score_takes_any_local_encoder(encoder):
    score = BertScore(str(encoder), layer=2)
    sums = score.statistics(["the old tree", "a bird", "a bird"], ["the old tree", "the river", ""])
    assert sums[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert sums[1, 0] < 0.999
    assert sums[2, 0] == 0
    tally = AnswerTally(EMOTIONS, bert_score=score)
    tally.add(some_pairs(6))
    assert 0 < tally.report(resamples=100)["figures"]["bert_score"]["value"] <= 1


def test_bert_score_refuses_pickles_and_absent_layers(encoder, tmp_path):
    with pytest.raises(RapportError, match="layers 1 to 3"):
        BertScore(str(encoder), layer=4)
    with pytest.raises(RapportError, match="no safetensors"):
        BertScore(str(tmp_path), layer=1)


def tallied(pairs: list[AnswerPair]) -> AnswerTally:
    tally = AnswerTally(EMOTIONS)
    tally.add(pairs)
    return tally


def test_a_difference_is_measured_on_the_same_speakers():
    worse = some_pairs(80)
    better = [replace(p, given_emotion=p.emotion) for p in worse]
    found = tallied(better).minus(tallied(worse[::-1]), resamples=300)
    figures = report_of(worse, resamples=300)["figures"]
    gain = found["emotion_macro_f1"]
    assert gain["value"] == pytest.approx(1 - figures["emotion_macro_f1"]["value"])
    assert 0 < gain["low"] <= gain["value"] <= gain["high"]
    assert found["wer"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_answers_to_other_questions_are_not_compared():
    with pytest.raises(ValueError, match="other questions"):
        tallied(some_pairs(20)).minus(tallied(some_pairs(24)))
