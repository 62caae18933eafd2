from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core.examples import Example
from rapport.core.schema import Turn
from rapport.ray_jobs.emosds_evaluation.answering import Answerer, actor_count
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.subject import choose_subject
from tests.toy_emosds import EMOTIONS


def answering(root: Path, stage: int) -> tuple[Answerer, list[Example]]:
    generation = {"max_new_tokens": 24, "constrained": True}
    config = EvaluateEmosdsConfig.model_validate({"storage": str(root), "stage": str(stage), "generation": generation})
    subject = choose_subject(config)
    return Answerer(subject.contenders[0], config, subject.corpora, "cpu"), subject.examples[:5]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_example_gets_an_answer_and_the_proxy_its_sums(toy_root, stage):
    answerer, examples = answering(toy_root, stage)
    rows, proxy = answerer.answer(examples)
    assert [row["example_id"] for row in rows] == [e.example_id for e in examples]
    assert all(row["given_text"] for row in rows)
    assert {row["given_emotion"] in EMOTIONS for row in rows} == {stage > 1}
    assert {row["given_reply_emotion"] in EMOTIONS for row in rows} == {stage == 3}
    assert proxy["token_count"] > 5 * 4
    assert 0 <= proxy["correct"] <= proxy["token_count"]


def test_an_answer_does_not_depend_on_its_batch(toy_root):
    answerer, examples = answering(toy_root, 3)
    together, _ = answerer.answer(examples)
    assert [answerer.answer([e])[0][0]["output"] for e in examples] == [row["output"] for row in together]


def test_a_question_that_does_not_fit_is_malformed_and_spoils_nothing(toy_root):
    answerer, examples = answering(toy_root, 3)
    lengthy = replace(examples[1], example_id="long", history=(Turn("user", "well " * 600, "sad"),))
    rows, proxy = answerer.answer([examples[0], lengthy])
    assert rows[1]["malformed"] == "the question does not fit into max_tokens"
    assert (rows[1]["given_text"], rows[1]["tokens"]) == (None, 0)
    alone, alone_proxy = answerer.answer([examples[0]])
    assert rows[0] == alone[0]
    assert proxy == pytest.approx(alone_proxy)
    assert answerer.answer([lengthy]) == ([rows[1]], {})


@pytest.mark.parametrize(
    ("resources", "gpus", "examples", "batches", "wanted"),
    [
        ({"CPU": 4.0}, 0, 50, 4, 1),
        ({"CPU": 4.0}, 0, 5000, 300, 4),
        ({"CPU": 9.0, "GPU": 2.0}, 0.5, 5000, 300, 4),
        ({"CPU": 8.0}, 0, 5000, 2, 2),
    ],
)
def test_there_are_as_many_actors_as_there_is_work_for(resources, gpus, examples, batches, wanted):
    assert actor_count(resources, gpus, examples, batches) == wanted
