"""A language model as judge: whatever its weights, its replies are verdicts of the right shape, and each is its request's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rapport.core.errors import RapportError
from rapport.models.backends.judge._schema import reply_schema
from rapport.models.backends.judge.llm import LlmJudge
from rapport.models.backends.judges import LlmJudgeConfig, load_judge
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded
from rapport.simulator.requests import JudgeRequest
from rapport.simulator.verdict import read_verdict
from tests.models.backends.judge.asked import asked

SIZES = EmbeddedLlamaConfig(hidden=32, layers=2, heads=2, mlp=32, vocabulary=320, initializer_range=0.35)
TEXTS = ['{"response_text": "Here is your kiwi fruit.", "next_scene_id": 1, "item_name": null}', "You are a clerk. I want an apple."] * 3
TURNS = (
    asked("i want apple"),
    asked("", offered=(), moves=()),
    asked("take me there please", offered=('soup "du jour"', "crème_brûlée"), moves=((12, "Menu"), (3, "Stop"))),
    asked("i want apple", prompt="You are a clerk. " * 4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedded(tmp_path_factory.mktemp("judge"), TEXTS, SIZES)


def judge(folder: Path, **settings: Any) -> LlmJudge:
    config = LlmJudgeConfig(**{"max_new_tokens": 300, "longest_text": 30, **settings})
    found = load_judge(f"llm:{folder}", config=config)
    assert isinstance(found, LlmJudge)
    return found


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_replies_have_the_shape_that_the_turn_allows(folder: Path, temperature: float) -> None:
    for request, reply in zip(TURNS, judge(folder, temperature=temperature).batch(TURNS), strict=True):
        jsonschema.validate(json.loads(str(reply)), reply_schema(request, 30))
        verdict = read_verdict(str(reply))
        assert verdict.problem is None
        assert verdict.item_name in {*request.offered, None}
        assert verdict.next_scene_id in {*(identity for identity, _ in request.moves), None}


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_reply_does_not_depend_on_its_batch(folder: Path, temperature: float) -> None:
    asking = judge(folder, temperature=temperature)
    together = asking.batch(TURNS)
    assert together == [asking.batch([request])[0] for request in TURNS]
    assert together[::-1] == asking.batch(TURNS[::-1])
    assert together == judge(folder, temperature=temperature, batch_rows=2).batch(TURNS)


def test_a_drawn_reply_follows_the_seed_of_its_request(folder: Path) -> None:
    drawing = judge(folder, temperature=1.0)
    seeds = [replace(TURNS[0], seed=seed) for seed in (1, 2, 1)]
    first, other, again = drawing.batch(seeds)
    assert first == again != other
    greedy = judge(folder)
    assert len(set(map(str, greedy.batch(seeds)))) == 1
    assert (drawing.unread, greedy.unread) == ((), ("seed",))


def test_without_constraint_it_writes_as_transformers_does(folder: Path) -> None:
    free = judge(folder, constrained=False, max_new_tokens=12)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(f"{TURNS[0].prompt}\n\nCustomer: {TURNS[0].heard}\nReply: ", return_tensors="pt").input_ids
    written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert free.batch(TURNS[:1]) == [tokenizer.decode(written, skip_special_tokens=True).strip()]


def test_a_chat_template_is_used_also_one_without_a_system_message(folder: Path, tmp_path: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    read: list[list[str]] = []
    for refuses in (False, True):
        tokenizer.chat_template = (
            "{% for m in messages %}"
            + ("{% if m.role == 'system' %}{{ raise_exception('no system message') }}{% endif %}" if refuses else "")
            + "<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
        )
        where = tmp_path / str(refuses)
        AutoModelForCausalLM.from_pretrained(folder).save_pretrained(where)
        tokenizer.save_pretrained(where)
        read.append([tokenizer.decode(judge(where)._tokens(request)) for request in TURNS[:2]])
    prompt = TURNS[0].prompt
    assert read[0] == [f"<system>{prompt}<user>i want apple<assistant>", f"<system>{prompt}<user><assistant>"]
    assert read[1] == [f"<user>{prompt}\n\ni want apple<assistant>", f"<user>{prompt}\n\n<assistant>"]


def test_versions_tell_weights_and_settings_and_not_where_they_are(folder: Path, tmp_path: Path) -> None:
    other = write_embedded(tmp_path / "other", TEXTS, SIZES, seed=1)
    copy = write_embedded(tmp_path / "copy", TEXTS, SIZES)
    same = {judge(folder).version, judge(copy).version, judge(folder, batch_rows=1, device="cpu").version}
    assert len(same) == 1
    assert len(same | {judge(other).version, judge(folder, temperature=0.5).version, judge(folder, constrained=False).version}) == 4


def test_a_prompt_that_leaves_no_room_is_refused(folder: Path) -> None:
    with pytest.raises(RapportError, match=r"has \d+ tokens, and beside 300 .* room for 20: raise llm.context_tokens"):
        judge(folder, context_tokens=320).batch([asked("i want apple", prompt="clerk " * 50)])


def test_a_reply_that_was_cut_off_is_a_verdict_with_a_problem(folder: Path) -> None:
    (reply,) = judge(folder, max_new_tokens=5).batch([JudgeRequest("p", "apple", ("apple",), (), 0)])
    assert read_verdict(str(reply)).problem


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot load the language model"):
        load_judge(f"llm:{tmp_path}")
