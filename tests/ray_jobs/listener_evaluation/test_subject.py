"""Which models are judged on which turns."""

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.listener_evaluation.subject import Subject, choose_subject
from tests.ray_jobs.listener_evaluation.conftest import Toy
from tests.ray_jobs.listener_evaluation.toy import make_model


def chosen(toy: Toy, models: str = "causal", **settings: object) -> Subject:
    return choose_subject(EvaluateListenerConfig.model_validate({"storage": str(toy.root), "models": models, **settings}))


def test_each_fold_is_judged_on_the_session_that_it_did_not_hear(toy: Toy) -> None:
    subject = chosen(toy)
    (model,) = subject.contenders
    assert (model.name, list(subject.folds), subject.repeats, subject.made) == ("causal", ["session1", "session2"], 2, True)
    for session, fold in subject.folds.items():
        assert {subject.turns[turn].session for turn in fold.test} == {session}
        assert session not in {subject.turns[turn].session for turn in fold.train}
        assert [storage.join("", run).rsplit("/", 1)[-1] for run in model.runs[session]] == [f"fold-{session}-seed-{n}" for n in (0, 1)]


def test_models_are_compared_on_as_many_seeds_as_all_of_them_have(toy: Toy) -> None:
    subject = chosen(toy, "causal,other")
    assert subject.repeats == 1
    assert subject.warnings == ("causal: 1 of 2 seeds are used, as not every fold and model has more",)


def test_a_single_fold_is_a_model_too(toy: Toy) -> None:
    subject = chosen(toy, "causal/fold-session2-seed-1")
    assert (subject.contenders[0].name, list(subject.folds)) == ("causal-fold-session2-seed-1", ["session2"])


def test_the_model_that_is_served_is_warned_of(toy: Toy) -> None:
    subject = chosen(toy, "served")
    assert list(subject.folds) == ["session3"]
    assert "selected by session3" in subject.warnings[0]
    assert "trained on session1" in chosen(toy, "served", sessions="session1").warnings[0]


def test_sessions_and_turns_can_be_fewer(toy: Toy) -> None:
    subject = chosen(toy, sessions="session2", max_turns=2)
    assert {session: len(fold.test) for session, fold in subject.folds.items()} == {"session2": 2}
    assert subject.folds == chosen(toy, sessions="session2", max_turns=2).folds


def test_the_newest_model_is_taken_unless_one_is_named(toy: Toy) -> None:
    make_model(toy.root, "latest", toy.features, fold="session1")
    assert chosen(toy, "").contenders[0].name == "latest"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"models": "absent"}, "absent"),
        ({"models": "causal,causal"}, "two models are called causal"),
        ({"models": "causal", "sessions": "session3"}, "no session of"),
        ({"models": "causal,slow"}, "different rates"),
        ({"models": "unknown"}, "no features of the front end"),
    ],
)
def test_what_cannot_be_judged_is_told(toy: Toy, settings: dict, match: str) -> None:
    from rapport.models.listener.config import FrontEndConfig
    from tests.ray_jobs.listener_evaluation.toy import make_features

    if "slow" in settings["models"]:
        front_end = FrontEndConfig(frame_rate_hz=25)
        make_model(toy.root, "slow", make_features(toy.root, toy.prepared, front_end), front_end=front_end.model_dump())
    if "unknown" in settings["models"]:
        folder = make_model(toy.root, "unknown", toy.features)
        saved = storage.read_json(storage.join(folder, "config.json"))
        storage.write_json(storage.join(folder, "config.json"), {**saved, "front_end": {"kind": "ear"}})
    with pytest.raises(RapportError, match=match):
        chosen(toy, **settings)
