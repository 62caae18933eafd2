"""What is evaluated: models, data, sides, and what stands beside them."""

import json
import shutil
from pathlib import Path

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.erc.templates import line_key
from rapport.ray_jobs.coe_evaluation.asking import learned_answers, line_name, reference, without_clues
from rapport.ray_jobs.coe_evaluation.lineage import Build, evaluations, leak_warnings, record, times_on_test
from rapport.ray_jobs.coe_evaluation.subject import choose_subject, drawn
from tests.ray_jobs.coe_evaluation.toy import make_model, settings
from tests.ray_jobs.coe_training.toy import build_toy


def test_the_newest_model_is_asked_about_the_test_side_of_what_it_was_trained_on(toy) -> None:
    subject = choose_subject(settings(toy.root))
    assert [(c.name, c.kind) for c in subject.contenders] == [
        ("a0", "model"),
        ("majority", "baseline"),
        ("tfidf", "baseline"),
        ("no_clues", "ablation"),
    ]
    assert subject.store.folder == toy.store.folder
    assert (subject.side, subject.contenders[0].task) == ("test", "erc")
    assert [q.example_id for q in subject.questions] == [e.example_id for e in toy.store.read("erc", "test")]
    assert subject.warnings == ()
    assert "made" in subject.notes[0]


def test_reasons_are_asked_for_with_their_own_prompts(toy) -> None:
    subject = choose_subject(settings(toy.root, method="reason", side="validation"))
    assert {(q.task, line_key(q.example_id).split) for q in subject.questions} == {("steer", "validation")}
    assert any("by which epochs" in note for note in subject.notes)


def test_a_model_that_learned_reasons_to_the_end_gives_them(toy, tmp_path: Path) -> None:
    lasting = {"stage": "erc", "memory_of": {"stage": "steer"}}
    reasons, labels = (
        str(make_model(tmp_path, name, toy.store, **facts)) for name, facts in (("reasons", lasting), ("labels", {"stage": "erc"}))
    )
    subject = choose_subject(settings(toy.root, models=f"{labels},{reasons}", baselines=["no_clues"]))
    assert [(c.name, c.method) for c in subject.contenders] == [("labels", "score"), ("reasons", "reason"), ("no_clues", "score")]
    asked = [subject.asked_of(contender, subject.questions) for contender in subject.contenders[:2]]
    assert [{q.task for q in questions} for questions in asked] == [{"erc"}, {"steer"}]
    assert [line_key(q.example_id) for q in asked[0]] == [line_key(q.example_id) for q in asked[1]]
    told = choose_subject(settings(toy.root, models=f"{labels},{reasons}", method="score"))
    assert {c.method for c in told.contenders} == {"score"}


def test_models_of_a_group_are_all_asked(toy) -> None:
    subject = choose_subject(settings(toy.root, groups="a0+a1,b0+b1", baselines=[]))
    assert [c.name for c in subject.contenders] == ["a0", "a1", "b0", "b1"]
    assert subject.groups == {"a0+a1": ("a0", "a1"), "b0+b1": ("b0", "b1")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": "nobody"}, "--model nobody does not exist"),
        ({"groups": "a0"}, "has 1 model: wanted two or more"),
        ({"groups": "a0+adapted"}, "differ in base, embedded: a group is of models that differ by their seed alone"),
        ({"data": "nothing"}, "run python -m rapport.ray_jobs.build_coe --name nothing"),
    ],
)
def test_what_does_not_go_together_is_refused(toy, changes, message) -> None:
    with pytest.raises(RapportError, match=message):
        choose_subject(settings(toy.root, **changes))


def test_two_models_of_one_name_and_a_model_called_as_a_baseline_are_refused(toy, tmp_path: Path) -> None:
    other = make_model(tmp_path, "a0", toy.store)
    with pytest.raises(RapportError, match="two models are called a0"):
        choose_subject(settings(toy.root, models=f"a0,{other}"))
    taken = make_model(tmp_path, "majority", toy.store)
    with pytest.raises(RapportError, match="a model is called majority, as a baseline is"):
        choose_subject(settings(toy.root, models=str(taken)))


def test_a_model_that_does_not_tell_its_data_wants_it_named_and_is_warned_about(toy, tmp_path: Path) -> None:
    folder = make_model(tmp_path, "stranger", toy.store, data=[])
    with pytest.raises(RapportError, match="name the one to evaluate on with --data"):
        choose_subject(settings(toy.root, models=str(folder)))
    subject = choose_subject(settings(toy.root, models=str(folder), data="meld"))
    assert subject.warnings == ("stranger does not tell what it was trained on: whether it has seen these lines is not known",)


def test_a_build_without_a_test_side_is_measured_on_validation(toy, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy.store.folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for sides in manifest["counts"].values():
        sides.pop("test", None)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert choose_subject(settings(toy.root, data=str(copy))).side == "validation"
    with pytest.raises(RapportError, match="no examples of erc for test"):
        choose_subject(settings(toy.root, data=str(copy), side="test"))


def test_examples_that_were_taken_in_as_prompts_leave_out_what_wants_lines(toy, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy.store.folder, copy)
    (copy / "dialogues.jsonl").unlink()
    subject = choose_subject(settings(toy.root, data=str(copy)))
    assert [c.name for c in subject.contenders] == ["a0", "majority"]
    assert sum("was left out" in note for note in subject.notes) == 2


def test_dialogues_are_drawn_whole_and_alike_each_time(toy) -> None:
    questions = toy.store.read("erc", "train")
    some = drawn(questions, 30, 0)
    dialogues = {line_key(q.example_id).dialogue_id for q in some}
    assert 0 < len(some) <= 30
    assert some == [q for q in questions if line_key(q.example_id).dialogue_id in dialogues] == drawn(questions, 30, 0)
    assert drawn(questions, 30, 1) != some
    assert len(drawn(questions, 2, 0)) == 2


def test_without_clues_the_same_question_shows_the_line_alone(toy) -> None:
    subject = choose_subject(settings(toy.root))
    question = next(q for q in subject.questions if q.meta["clues"] == ["personas", "scene", "history"])
    bare = without_clues(subject, question, ("personas", "scene", "history"))
    assert (bare.example_id, bare.gold, bare.labels) == (question.example_id, question.gold, question.labels)
    assert not {"PERSONAS", "SCENE"} & {line.partition(":")[0] for line in bare.input.splitlines()}
    assert bare.input.count("\n>> ") == question.input.count("\n>> ") == 1
    assert len(bare.input) < len(question.input)
    alone = without_clues(subject, question, ("scene",))
    assert "PERSONAS:" in alone.input
    assert "SCENE:" not in alone.input


def test_baselines_learn_from_the_training_side_and_answer_every_line(toy) -> None:
    config = settings(toy.root)
    subject = choose_subject(config)
    names = {line_name(q.example_id) for q in subject.questions}
    train = [e.gold for e in toy.store.read("erc", "train")]
    majority = learned_answers(subject, "majority", subject.questions, config)
    assert majority.keys() == names
    assert {answer.label for answer in majority.values()} == {max(sorted(set(train)), key=train.count)}
    assert learned_answers(subject, "tfidf", subject.questions, config).keys() == names


def test_the_base_of_adapters_is_asked_by_itself(toy) -> None:
    subject = choose_subject(settings(toy.root, models="adapted", baselines=["untrained"]))
    trained, untrained = (reference(contender) for contender in subject.contenders)
    assert trained.adapter is not None
    assert untrained.adapter is None
    assert untrained.model == trained.model
    whole = choose_subject(settings(toy.root, models="a0", baselines=["untrained"]))
    with pytest.raises(RapportError, match="holds no base model: take untrained out of baselines"):
        reference(whole.contenders[1])


def test_lines_that_another_build_taught_are_told(toy, tmp_path: Path) -> None:
    asked = toy.store.read("erc", "train")
    other = build_toy(tmp_path)  # the same conversations, built elsewhere
    same = leak_warnings("m", [Build(other.folder, other.digest)], toy.store, asked, None)
    assert same == [] if other.digest == toy.store.digest else "flatters" in same[0]
    told = leak_warnings("m", [Build(other.folder, "another")], toy.store, asked, None)
    assert told == [
        f"m was trained on {other.folder}, which holds lines that are asked here: {len(asked)} of the {len(asked)} lines. This flatters it"
    ]
    assert leak_warnings("m", [Build(other.folder, "another")], toy.store, toy.store.read("erc", "test"), None) == []
    assert "cannot be read here" in leak_warnings("m", [Build(str(tmp_path / "gone"), "x")], toy.store, asked, None)[0]


def test_another_corpus_of_the_same_show_is_told_by_its_long_lines(toy, tmp_path: Path) -> None:
    other = build_toy(tmp_path, "emorynlp")
    questions, found = toy.store.read("erc", "test"), toy.store.conversations()
    # Made people share sentences, as two corpora of one show do.
    warnings = leak_warnings("m", [Build(other.folder, other.digest)], toy.store, questions, found)
    assert all("stand in emorynlp/train" in warning and "meld/test" in warning for warning in warnings)
    assert leak_warnings("m", [Build(other.folder, other.digest)], toy.store, questions, None) == []


def test_evaluations_are_counted_for_the_weights_that_are_there(toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(make_model(tmp_path, "counted", toy.store, seed=5))
    assert times_on_test(folder) == 0
    for side in ("test", "validation", "test"):
        assert record(folder, {"side": side}) is None
    assert (len(evaluations(folder)), times_on_test(folder)) == (3, 2)
    make_model(tmp_path, "counted", toy.store, seed=6)  # trained anew under the same name
    assert times_on_test(folder) == 0

    def full(path: str, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_json", full)
    assert "nobody will know that this model was measured" in str(record(folder, {"side": "test"}))
