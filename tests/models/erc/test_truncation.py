"""What is cut from prompts that are too long, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.core.conversations import LABELS, TASKS, Clues, Conversation, ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.templates import render
from tests.models.erc.talk import CLUES, MELD, MOVING, count_words, talk


def _session(lines: int = 110) -> Conversation:
    """As long as the longest of IEMOCAP, with very long lines."""
    said = [(f"Speaker {'FM'[turn % 2]}", " ".join(f"w{turn}x{k}" for k in range(100)), "sad") for turn in range(lines)]
    return talk(said, corpus="iemocap")


def _cut(example: ErcExample) -> dict[str, int]:
    cut = example.meta["cut"]
    assert isinstance(cut, dict)
    return cut


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("template", ["coe_r_v1", "instructerc"])
def test_a_prompt_that_is_too_long_keeps_line_question_and_answer(task: str, template: str) -> None:
    config = PromptConfig(template=template, max_tokens=700, window=200)
    example = render(_session(), 109, task, Clues(), config, LABELS["iemocap"], count_words)
    assert count_words(example.input) + count_words(example.target) + 2 <= 700
    if task != "role_play":
        assert "w109x0" in example.input
        assert "w109x99" in example.input
        assert all(choice in example.input for choice in example.labels)
    assert example.target == {"role_play": _session().lines[109].text, "speaker": example.gold}.get(task, "sad")
    if not (task == "speaker" and template == "instructerc"):
        assert _cut(example)["history_turns"] > 100
        assert "w0x0" not in example.input
        assert "w108x0" in example.input


def test_no_more_lines_go_than_must() -> None:
    whole = render(talk(), 4, "erc", CLUES, PromptConfig(), MELD)
    length = count_words(whole.input) + 1 + 2
    fits = PromptConfig(max_tokens=length, answer_tokens=1)
    assert render(talk(), 4, "erc", CLUES, fits, MELD, count_words) == whole
    tight = render(talk(), 4, "erc", CLUES, PromptConfig(max_tokens=length - 1, answer_tokens=1), MELD, count_words)
    assert tight.meta["cut"] == {"history_turns": 1}
    assert "The van leaves" not in tight.input
    assert "I only packed the kettle." in tight.input


def test_history_goes_first_then_the_scene_then_the_ends_of_personas() -> None:
    whole = count_words(render(talk(), 4, "erc", CLUES, PromptConfig(), MELD).input) + 3
    cuts = []
    for room in range(whole, 0, -1):
        try:
            config = PromptConfig(max_tokens=max(room, 32), answer_tokens=1)
            cuts.append(_cut(render(talk(), 4, "erc", CLUES, config, MELD, count_words)))
        except RapportError:
            break
    for cut in cuts:
        assert "scene" not in cut or cut["history_turns"] == 4
        # The personas of Nora and Eli, six words, go with their lines.
        assert cut.get("persona_words", 0) <= 6 or "scene" in cut
    assert cuts[-1] == {"history_turns": 4, "scene": 1, "persona_words": 12}
    assert any(6 < cut.get("persona_words", 0) < 12 for cut in cuts)


@pytest.mark.parametrize("task", ["erc", "speaker", "steer"])
def test_a_line_that_alone_is_too_long_is_refused(task: str) -> None:
    with pytest.raises(RapportError, match=f"meld/train/d1/0/{task}: line, question .* raise max_tokens"):
        render(talk([("A", "word " * 300, "sad"), ("B", "Hi.", "sad")]), 0, task, Clues(), PromptConfig(max_tokens=300), MELD, count_words)


def test_an_answer_that_alone_is_too_long_is_refused() -> None:
    with pytest.raises(RapportError, match="role_play: line"):
        render(
            talk([("A", "Hi.", "sad"), ("B", "word " * 400, "sad")]),
            1,
            "role_play",
            Clues(),
            PromptConfig(max_tokens=300),
            MELD,
            count_words,
        )


def test_room_is_kept_for_reasons() -> None:
    long = talk([("A", "word " * 50, "sad")] * 40)
    config = PromptConfig(max_tokens=1000, answer_tokens=300)
    assert count_words(render(long, 39, "steer", Clues(), config, MELD, count_words).input) <= 1000 - 300 - 2
    assert count_words(render(long, 39, "erc", Clues(), config, MELD, count_words).input) > 1000 - 300


def test_what_is_cut_does_not_depend_on_the_right_answer() -> None:
    # By letters, `fear` is shorter than `surprise`: it must not leave room for more.
    for room in range(250, 700, 7):
        inputs = set()
        for label in MELD:
            said = [(who, text, label) for who, text, _ in MOVING]
            config = PromptConfig(max_tokens=room, answer_tokens=1)
            try:
                inputs.add(render(talk(said), 4, "erc", CLUES, config, MELD, len).input)
            except RapportError:
                inputs.add("")
        assert len(inputs) == 1


@given(room=st.integers(60, 200), task=st.sampled_from(TASKS), turn=st.integers(0, 4))
def test_whatever_the_room_a_prompt_fits_or_is_refused(room: int, task: str, turn: int) -> None:
    config = PromptConfig(max_tokens=room, answer_tokens=20)
    try:
        example = render(talk(), turn, task, CLUES, config, MELD, count_words)
    except RapportError:
        return
    assert count_words(example.input) + count_words(example.target) + 2 <= room
    assert example.input.endswith("ANSWER:")
    assert MOVING[turn][1] in (example.target if task == "role_play" else example.input)
