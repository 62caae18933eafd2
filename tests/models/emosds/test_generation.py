"""Answers: the same with and without a cache, alone and in company, as a whole and in pieces."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from rapport.core.errors import RapportError
from rapport.core.examples import Example
from rapport.core.units import SpeechUnits
from rapport.models.backends.llm.sampling import Sampler
from rapport.models.emosds.config import GenerationConfig, InjectionConfig
from rapport.models.emosds.generation import Generated, Generator, Piece
from rapport.models.emosds.grammar import AnswerGrammar
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.session import DialogueSession
from tests.models.emosds.tiny import HISTORY, example, speech

EXAMPLES = [example(3, "a"), example(3, "b", history=()), example(3, "c", history=HISTORY[:1]), example(3, "d", history=HISTORY[1:])]
SPOKEN = [speech(9, 1), speech(25, 2), speech(4, 3), speech(14, 4)]


def _without_cache(model: SpeechLanguageModel, one: Example, spoken: SpeechUnits, tokens: int) -> list[int]:
    """Greedy decoding that reads everything anew for every token."""
    batch = model.collator().prompts([one], [spoken])
    ids, written = batch["input_ids"], []
    for _ in range(tokens):
        rows = model.embed(ids, batch["residuals"], batch["residual_lengths"])
        token = int(model.logits(model.hidden(rows, torch.ones_like(ids))[:, -1]).argmax())
        if token == model.manifest.eos:
            break
        written.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], 1)
    return written


@torch.no_grad()
@pytest.mark.parametrize("injection", [InjectionConfig(kind="tile"), InjectionConfig(kind="strided", stride=4)])
def test_greedy_answers_equal_those_without_a_cache(build: Callable[..., SpeechLanguageModel], injection: InjectionConfig) -> None:
    model = build(injection=injection)
    answers = Generator(model, GenerationConfig(max_new_tokens=24)).generate(EXAMPLES, SPOKEN)
    assert [list(a.ids) for a in answers] == [_without_cache(model, e, s, 24) for e, s in zip(EXAMPLES, SPOKEN, strict=True)]
    assert len({a.ids for a in answers}) > 1


def test_greedy_answers_equal_those_of_transformers(model: SpeechLanguageModel) -> None:
    batch = model.collator().prompts(EXAMPLES, SPOKEN)
    rows = model.embed(batch["input_ids"], batch["residuals"], batch["residual_lengths"])
    with torch.no_grad():
        theirs = model.base.generate(
            inputs_embeds=rows,
            attention_mask=batch["attention_mask"],
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=model.manifest.eos,
            pad_token_id=model.manifest.pad,
        )
    ours = Generator(model, GenerationConfig(max_new_tokens=24)).generate(EXAMPLES, SPOKEN)
    ends = (model.manifest.eos, model.manifest.pad)
    assert [list(a.ids) for a in ours] == [[t for t in row if t not in ends] for row in theirs.tolist()]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_does_not_depend_on_the_batch(model: SpeechLanguageModel, temperature: float) -> None:
    """Rows end at different times here, so that some leave the batch before others."""

    def eager_to_end(_module: object, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        return logits + 5 * torch.nn.functional.one_hot(torch.tensor(model.manifest.eos), logits.shape[-1])

    generator = Generator(model, GenerationConfig(max_new_tokens=32, temperature=temperature))
    handle = model.base.get_output_embeddings().register_forward_hook(eager_to_end)
    together = generator.generate(EXAMPLES, SPOKEN)
    alone = [generator.generate([e], [s])[0] for e, s in zip(EXAMPLES, SPOKEN, strict=True)]
    handle.remove()
    assert [a.ids for a in together] == [a.ids for a in alone]
    assert len({len(a.ids) for a in together}) > 1


def test_drawing_follows_seed_and_limits(model: SpeechLanguageModel) -> None:
    def ids(**settings: float) -> list[tuple[int, ...]]:
        config = GenerationConfig(max_new_tokens=12, **settings)
        return [a.ids for a in Generator(model, config).generate(EXAMPLES, SPOKEN)]

    assert ids(temperature=1.0, seed=1) == ids(temperature=1.0, seed=1) != ids(temperature=1.0, seed=2)
    assert ids(temperature=1.0, top_k=1) == ids() == ids(temperature=1.0, top_p=1e-6)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_constrained_answers_are_always_well_formed(model: SpeechLanguageModel, stage: int, temperature: float) -> None:
    generator = Generator(model, GenerationConfig(max_new_tokens=20, temperature=temperature, constrained=True))
    examples = [example(stage, f"{n}") for n in range(8)]
    for answer in generator.generate(examples, [speech(6 + n, n) for n in range(8)]):
        assert answer.finished
        assert not set(answer.ids) & {*model.manifest.units.tolist(), model.manifest.residual, model.manifest.pad}
        # Random bytes may make a word of control characters, which no reader sees; the form is right all the same.
        assert answer.answer.malformed is None or "is empty" in answer.answer.malformed or "nothing" in answer.answer.malformed
        assert (answer.answer.user_emotion is None) == (stage == 1)
        assert (answer.answer.reply_emotion is None) == (stage < 3)


def test_the_grammar_ends_an_answer_in_time(model: SpeechLanguageModel) -> None:
    """A model that would never stop by itself."""
    grammar = AnswerGrammar(model.tokenizer, model.manifest, 3, torch.device("cpu"))
    word = model.tokenizer("x", add_special_tokens=False)["input_ids"][0]
    wish = torch.zeros(1, model.manifest.size)
    wish[0, word] = 5
    state, written = grammar.start(1), []
    for remaining in range(12, 0, -1):
        token = grammar.restrict(wish, state, remaining, reply=5).argmax(-1)
        state = grammar.advance(state, token)
        written.append(model.tokenizer.convert_ids_to_tokens(int(token)))
    assert written == ["<anger>", *"xxxxxx", "EmoSDS: ", "<anger>", *"xx", "<|eot_id|>"]


def test_the_space_before_a_word_may_be_a_token_of_its_own_and_no_answer_is_space_alone(model: SpeechLanguageModel) -> None:
    space, word = (model.tokenizer.convert_tokens_to_ids(piece) for piece in ("Ġ", "x"))
    wish = torch.zeros(1, model.manifest.size)
    wish[0, space], wish[0, word] = 6, 5
    for stage, total, wanted in (
        (1, 8, ["Ġ", "x", *"ĠĠĠĠĠ", "<|eot_id|>"]),
        (3, 8, ["<anger>", "Ġ", "x", "EmoSDS: ", "<anger>", "Ġ", "x", "<|eot_id|>"]),
    ):
        grammar = AnswerGrammar(model.tokenizer, model.manifest, stage, torch.device("cpu"))
        state, written = grammar.start(1), []
        for remaining in range(total, 0, -1):
            token = grammar.restrict(wish, state, remaining, reply=1).argmax(-1)
            state = grammar.advance(state, token)
            written.append(model.tokenizer.convert_ids_to_tokens(int(token)))
        assert written == wanted


def test_an_answer_that_does_not_end_is_malformed(model: SpeechLanguageModel) -> None:
    with torch.no_grad():
        answer = Generator(model, GenerationConfig(max_new_tokens=8)).generate([example(1)], [speech(9)])[0]
    assert not answer.finished
    assert len(answer.ids) == 8
    assert answer.answer.malformed == "no end within 8 tokens (max_new_tokens)"


def test_scores_of_emotions_come_with_the_tags(model: SpeechLanguageModel) -> None:
    generator = Generator(model, GenerationConfig(max_new_tokens=20, constrained=True))
    for answer in generator.generate(EXAMPLES, SPOKEN):
        for scores, emotion in ((answer.user_scores, answer.answer.user_emotion), (answer.reply_scores, answer.answer.reply_emotion)):
            assert scores is not None
            assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
            assert max(scores, key=scores.__getitem__) == emotion
    assert generator.generate([example(1)], [speech(5)])[0].user_scores is None


def test_a_stream_brings_the_same_answer_in_pieces(model: SpeechLanguageModel) -> None:
    generator = Generator(model, GenerationConfig(max_new_tokens=24, constrained=True))
    *pieces, last = generator.stream(EXAMPLES[0], SPOKEN[0])
    assert last == generator.generate(EXAMPLES[:1], SPOKEN[:1])[0]
    assert isinstance(last, Generated)
    told = {name: "".join(p.text for p in pieces if isinstance(p, Piece) and p.field == name) for name in ("user_emotion", "reply_emotion")}
    assert told == {"user_emotion": last.answer.user_emotion, "reply_emotion": last.answer.reply_emotion}
    assert next(p.field for p in pieces if isinstance(p, Piece)) == "user_emotion"


def test_streamed_words_add_up(model: SpeechLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters of several bytes and spaces at the edges come through, whatever tokens they are cut into."""
    text = "<sadness> Ça  va? — naïve 日本 EmoSDS: <neutral> Là-bas, 5 < 6!"
    script = iter([*model.tokenizer(text, add_special_tokens=False)["input_ids"], model.manifest.eos])
    monkeypatch.setattr(Sampler, "pick", lambda _self, _logits, _chance: torch.tensor([next(script)]))
    pieces = [item for item in Generator(model).stream(EXAMPLES[0], SPOKEN[0]) if isinstance(item, Piece)]
    words = {name: "".join(p.text for p in pieces if p.field == name) for name in ("transcript", "reply")}
    assert words == {"transcript": "Ça  va? — naïve 日本 ", "reply": "Là-bas, 5 < 6!"}
    assert not any("\ufffd" in piece.text for piece in pieces)


def test_a_stream_that_is_closed_stops_the_work(model: SpeechLanguageModel) -> None:
    calls: list[int] = []
    handle = model.base.get_output_embeddings().register_forward_hook(lambda *_: calls.append(1))
    stream = Generator(model, GenerationConfig(max_new_tokens=200, constrained=True)).stream(EXAMPLES[0], SPOKEN[0])
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    handle.remove()
    assert len(calls) < 5


def test_a_row_whose_listener_left_leaves_the_batch(model: SpeechLanguageModel) -> None:
    generator = Generator(model, GenerationConfig(max_new_tokens=24, constrained=True))
    whole = generator.generate(EXAMPLES, SPOKEN)
    widths: list[int] = []
    handle = model.base.get_output_embeddings().register_forward_hook(lambda _module, _inputs, logits: widths.append(len(logits)))
    left: set[int] = set()
    ids = {}
    for step in generator.stream_batch(EXAMPLES, SPOKEN, left.__contains__):
        ids.update({row: item.ids for row, item in step if isinstance(item, Generated)})
        left.update({0, 2})
    handle.remove()
    assert widths[0] == 4
    assert max(widths[1:]) == 2
    assert ids == {row: whole[row].ids for row in (1, 3)}


def test_one_batch_is_of_one_stage(model: SpeechLanguageModel) -> None:
    with pytest.raises(RapportError, match=r"stages \[1, 2\]"):
        Generator(model).generate([example(1), example(2)], [speech(5), speech(5)])
    assert Generator(model).generate([], []) == []


def test_a_session_feeds_back_what_it_heard(model: SpeechLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator(model, GenerationConfig(max_new_tokens=24, constrained=True))
    asked: list[Example] = []
    steps = generator._steps

    def listened(examples: Sequence[Example], heard: Sequence[SpeechUnits | None], *more: Any) -> Iterator[Any]:
        asked.extend(examples)
        return steps(examples, heard, *more)

    monkeypatch.setattr(generator, "_steps", listened)
    session = DialogueSession(generator, HISTORY[:1])
    first = session.hear(speech(8)).answer
    *_, second = session.stream(speech(12))
    session.hear(speech(6))
    assert asked[0].history == HISTORY[:1]
    assert isinstance(second, Generated)
    turns = [(t.text, t.emotion) for t in asked[2].history]
    heard = [(first.transcript, first.user_emotion), (first.reply, first.reply_emotion)]
    heard += [(second.answer.transcript, second.answer.user_emotion), (second.answer.reply, second.answer.reply_emotion)]
    assert len(asked) == 3
    assert turns == [(HISTORY[0].text, HISTORY[0].emotion), *((w, e) for w, e in heard if w)]
