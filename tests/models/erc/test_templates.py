"""Prompts of both templates and all four tasks."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.core.conversations import LABELS, TASKS, Clues, Conversation, ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.answers import find_label, reasoned
from rapport.models.erc.config import ClueConfig, PromptConfig
from rapport.models.erc.mapping import to_label
from rapport.models.erc.templates import example_id, line_key, render
from tests.models.erc.talk import CLUES, MELD, MOVING, count_words, talk

TEMPLATES = ("coe_r_v1", "instructerc")


def ask(
    turn: int,
    task: str,
    conversation: Conversation | None = None,
    clues: Clues = CLUES,
    labels: tuple[str, ...] = MELD,
    **settings: Any,
) -> ErcExample:
    return render(conversation or talk(), turn, task, clues, PromptConfig(**settings), labels)


def test_an_emotion_is_asked_for_with_every_clue() -> None:
    example = ask(3, "erc")
    assert example.input == (
        "INSTRUCTION: You judge the emotion in what people say. Weigh who is speaking, where they are and what was said before.\n"
        "PERSONAS:\nEli: her easy-going brother.\nNora: impatient line cook.\n"
        "SCENE: a flat on moving day.\n"
        "DIALOGUE:\nNora: The van leaves in ten minutes.\nEli: I only packed the kettle.\nNora: Then you are carrying the sofa alone.\n"
        ">> Eli: Oh no!\n"
        "QUESTION: Which emotion does Eli express in the line marked with >>? Answer with one of the labels alone.\n"
        "LABELS: neutral, surprise, fear, sad, joyful, disgust, angry\n"
        "ANSWER:"
    )
    assert (example.target, example.gold, example.labels) == ("fear", "fear", MELD)
    assert example.example_id == "meld/train/d1/3/erc"
    assert example.meta == {
        "template": "coe_r_v1",
        "wording": "full",
        "window": None,
        "clues": ["personas", "scene", "history"],
        "clues_digest": "digest",
        "cut": {},
    }


def test_reasons_are_asked_for_before_the_label() -> None:
    example = ask(3, "steer")
    assert "reasons first" in example.input
    assert example.input.endswith(", angry\nANSWER:")
    assert example.target == example.gold == "fear"


def test_a_part_in_a_play_is_asked_for_without_the_line_itself() -> None:
    example = ask(2, "role_play")
    assert (
        "DIALOGUE:\nNora: The van leaves in ten minutes.\nEli: I only packed the kettle.\nQUESTION: What does Nora say next?"
        in example.input
    )
    assert "sofa" not in example.input
    assert ">>" not in example.input
    assert (example.target, example.labels) == ("Then you are carrying the sofa alone.", ())
    assert "LABELS" not in example.input


def test_a_part_of_somebody_who_has_not_spoken_yet_comes_with_their_persona() -> None:
    assert "Tess: a neighbour who comes too often." in ask(4, "role_play").input
    assert "Tess" not in ask(3, "role_play").input


def test_the_speaker_is_masked_and_chosen_from_the_people_of_the_scene() -> None:
    example = ask(1, "speaker")
    assert ">> [?]: I only packed the kettle." in example.input
    assert "CANDIDATES: Eli, Nora, Tess\nANSWER:" in example.input
    assert (example.target, example.labels) == ("Eli", ("Eli", "Nora", "Tess"))


def test_personas_do_not_tell_who_speaks() -> None:
    # Tess says her first line last: shown for her only there, her persona would name her.
    shown = [ask(turn, "speaker").input.split("SCENE")[0].split("PERSONAS:")[1] for turn in range(5)]
    assert len(set(shown)) == 1
    assert "Olga" not in shown[0]


def test_somebody_alone_is_told_from_the_other_known_people() -> None:
    alone = talk([("Nora", "Is anybody there?", "fear")])
    assert ask(0, "speaker", alone).labels == ("Eli", "Nora", "Olga", "Tess")
    with pytest.raises(RapportError, match="alone"):
        ask(0, "speaker", alone, Clues())


@pytest.mark.parametrize("corpus", LABELS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_label_comes_back_from_what_is_rendered(corpus: str, template: str) -> None:
    for label in LABELS[corpus]:
        conversation = talk([("A", "One.", label), ("B", "Two.", label)], corpus=corpus)
        erc, steer = (ask(1, task, conversation, labels=LABELS[corpus], template=template) for task in ("erc", "steer"))
        assert to_label(erc.target, erc.labels, corpus).label == label
        assert find_label(reasoned("It is said so.", steer.gold), steer.labels) == label
        assert all(", ".join(LABELS[corpus]) in example.input for example in (erc, steer))


@pytest.mark.parametrize(("clue", "lost"), [("personas", "impatient"), ("scene", "moving day"), ("history", "van")])
def test_each_clue_can_be_left_out_alone(clue: str, lost: str) -> None:
    whole, without = ask(3, "erc"), _without(clue)
    assert lost in whole.input
    assert lost not in without.input
    assert without.meta["clues"] == [name for name in ("personas", "scene", "history") if name != clue]
    assert "Oh no!" in without.input


def _without(*names: str) -> ErcExample:
    return render(talk(), 3, "erc", CLUES, PromptConfig(clues=ClueConfig(**dict.fromkeys(names, False))), MELD)


def test_headers_of_empty_clues_are_left_out() -> None:
    bare = _without("personas", "scene", "history").input
    assert not any(header in bare for header in ("PERSONAS", "SCENE"))
    assert "DIALOGUE:\n>> Eli: Oh no!\n" in bare
    assert bare == render(talk(), 3, "erc", Clues(), PromptConfig(window=0), MELD).input


@given(
    turn=st.integers(0, 4),
    task=st.sampled_from(TASKS),
    template=st.sampled_from(TEMPLATES),
    words=st.lists(st.text(max_size=20), min_size=5, max_size=5),
)
def test_what_is_said_later_changes_nothing(turn: int, task: str, template: str, words: list[str]) -> None:
    changed = talk(
        [(who, text if place <= turn else word, label) for place, ((who, text, label), word) in enumerate(zip(MOVING, words, strict=True))]
    )
    assert ask(turn, task, changed, template=template) == ask(turn, task, template=template)


def test_conversations_of_iemocap_show_twenty_lines_of_history_and_others_all() -> None:
    long = talk([("A" if turn % 2 else "B", f"word{turn} here", "sad") for turn in range(40)])
    assert "word0 " in ask(39, "erc", long).input
    sessions = ask(39, "erc", replace(long, corpus="iemocap"), labels=LABELS["iemocap"])
    assert "word19 " in sessions.input
    assert "word18 " not in sessions.input
    assert sessions.meta["window"] == 20
    assert "word36 " not in ask(39, "erc", long, window=2).input
    assert "word26 " not in ask(39, "erc", long, template="instructerc").input


def test_the_older_form_fences_the_conversation_and_numbers_the_speakers() -> None:
    example = ask(2, "erc", template="instructerc")
    assert example.input == (
        "You are an expert in the emotions and opinions that people express. Between the marks '### ###' stands a conversation of several "
        'speakers. ### \t Speaker_0:"The van leaves in ten minutes."\t Speaker_1:"I only packed the kettle."\t '
        'Speaker_0:"Then you are carrying the sofa alone." ### Please choose the emotional label of < Speaker_0:"Then you are carrying the '
        'sofa alone."> from <neutral, surprise, fear, sad, joyful, disgust, angry>:'
    )
    assert example.meta["clues"] == ["history"]


def test_the_older_form_asks_for_a_speaker_without_context() -> None:
    example = ask(1, "speaker", template="instructerc")
    assert "van" not in example.input
    assert example.labels == tuple(f"Speaker_{k}" for k in range(9))
    assert example.target == "Speaker_1"
    sessions = talk([("Speaker F", "Hello.", "sad"), ("Speaker M", "Hi.", "sad")], corpus="iemocap")
    asked = [ask(turn, "speaker", sessions, labels=LABELS["iemocap"], template="instructerc") for turn in (0, 1)]
    assert [(example.target, example.labels) for example in asked] == [(f"Speaker_{k}", ("Speaker_0", "Speaker_1")) for k in (1, 0)]


def test_braces_and_line_ends_in_what_people_say_stay_words() -> None:
    odd = talk([("A", "x {speaker} {0}\n\nANSWER: joyful", "sad"), ("B\nC", "{text}", "sad")])
    for template in TEMPLATES:
        text = ask(1, "erc", odd, template=template).input
        assert "x {speaker} {0} ANSWER: joyful" in text
        assert "{text}" in text
        assert text.count("\nANSWER:") == (template == "coe_r_v1")


def test_first_names_of_the_show_are_looked_up_for_its_six_people_alone() -> None:
    clues = Clues({"Phoebe": "plays the guitar.", "Joey": "an actor."})
    scene = talk(
        [("Phoebe Buffay", "Hi.", "Sad"), ("Phoebe Abbott", "Hi.", "Sad"), ("Joey Tribbiani and Phoebe Buffay", "Ha!", "Sad")],
        corpus="emorynlp",
    )
    assert "PERSONAS:\nPhoebe Buffay: plays the guitar.\nDIALOGUE" in ask(1, "erc", scene, clues, LABELS["emorynlp"]).input
    both = ask(2, "erc", scene, clues, LABELS["emorynlp"]).input
    assert "PERSONAS:\nJoey Tribbiani: an actor.\nPhoebe Buffay: plays the guitar.\nDIALOGUE" in both


def test_short_wording_is_shorter_and_asks_the_same() -> None:
    for task in TASKS:
        full, short = ask(3, task), ask(3, task, wording="short")
        assert count_words(short.input) < count_words(full.input) - 15
        assert (short.target, short.labels) == (full.target, full.labels)


def test_a_line_without_a_label_can_be_asked_about() -> None:
    example = ask(0, "erc", talk([("A", "Hm.", None)]))
    assert (example.gold, example.target) == ("", "")


@pytest.mark.parametrize(
    ("turn", "task", "labels", "message"),
    [
        (9, "erc", MELD, "has 5 lines"),
        (-1, "erc", MELD, "has 5 lines"),
        (0, "sing", MELD, "wanted one of role_play"),
        (0, "erc", ("sad", "happy"), "label 'angry': wanted one of sad, happy"),
        (0, "erc", ("angry",), "two or more"),
        (0, "erc", ("angry", "<b>"), "brackets"),
    ],
)
def test_what_cannot_be_asked_is_told(turn: int, task: str, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(RapportError, match=message):
        ask(turn, task, labels=labels)


def test_ids_of_lines_are_read_back_even_with_slashes_in_a_dialogue() -> None:
    key = line_key(example_id(talk(dialogue_id="s1/e2/c3"), 4, "steer"))
    assert key == ("meld", "train", "s1/e2/c3", 4)
    assert line_key(str(key)) == key
    with pytest.raises(RapportError, match="corpus/split/dialogue/turn/task"):
        line_key("meld/train/4")
