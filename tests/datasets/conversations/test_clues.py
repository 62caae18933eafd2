"""Personas and scenes come from us, from beside the conversations or from a user's files, under one digest."""

import json
from pathlib import Path

import pytest

from rapport.core.conversations import LABELS, Clues, Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.clues import CluesConfig, gather_clues, read_personas, shipped_personas, shipped_scenes, to_clues
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.transcripts import scenes_from_transcripts


def talk(corpus: str, *speakers: str, dialogue: str = "1", split: str = "train", texts: tuple[str, ...] = ()) -> Conversations:
    given = texts or tuple("Hello." for _ in speakers)
    lines = tuple(Line(n, str(n), speaker, text) for n, (speaker, text) in enumerate(zip(speakers, given, strict=True)))
    origin = dialogue.rpartition("_")[0] if corpus == "emorynlp" else "s01_e02"
    labels = LABELS.get(corpus, ("a",))
    return Conversations(corpus, labels, [Conversation(dialogue, corpus, split, lines)], origins={f"{split}/{dialogue}": origin})


@pytest.mark.parametrize(("corpus", "monica"), [("meld", "Monica"), ("emorynlp", "Monica Geller")])
def test_the_six_main_characters_have_personas_under_the_names_of_the_corpus(corpus: str, monica: str) -> None:
    personas = shipped_personas(corpus)
    assert len(personas) == 6
    clues = gather_clues(talk(corpus, monica, "Gunther"))
    assert list(clues.personas) == [monica], "only of people who speak"
    assert len(clues.digest) == 64


def test_the_real_corpora_show_the_names_of_the_personas(shared_data: Path) -> None:
    from rapport.datasets.conversations.corpora import emorynlp, meld

    for corpus, reader in (("meld", meld), ("emorynlp", emorynlp)):
        if not (shared_data / corpus).is_dir():
            pytest.skip(f"no {corpus}")
        found = reader.read(str(shared_data / corpus))
        assert len(gather_clues(found).personas) == 6
        shipped = shipped_personas(corpus)
        lines = [line.speaker in shipped for c in found.of("train") for line in c.lines]
        assert sum(lines) / len(lines) > 0.75


@pytest.mark.parametrize("dialogue", ["Ses01F_impro01", "Ses03M_impro08a", "Ses05F_script02_1", "Ses02M_script01_1b", "Ses04F_impro05"])
def test_every_kind_of_scene_of_iemocap_is_told(dialogue: str) -> None:
    scenes = shipped_scenes("iemocap", talk("iemocap", "Speaker F", dialogue=dialogue).conversations)
    assert scenes[f"train/{dialogue}"]


def test_the_digest_changes_with_every_text_and_is_empty_without_clues() -> None:
    one, other = to_clues({"A": "x", "B": "y"}, {}), to_clues({"A": "x", "B": "z"}, {})
    assert one.digest != other.digest
    assert one == to_clues({"B": "y", "A": "x"}, {})
    assert to_clues({"A": "x"}, {}).digest != to_clues({}, {"A": "x"}).digest
    assert to_clues({}, {}) == Clues()
    assert gather_clues(talk("meld", "Monica"), CluesConfig(personas="none", scenes="none")) == Clues()


def test_files_of_a_user_go_before_those_of_ours(tmp_path: Path) -> None:
    (tmp_path / "personas.json").write_text(json.dumps({"meld": {"Monica": "somebody else"}}))
    (tmp_path / "scenes.jsonl").write_text('{"dialogue_id": 1, "text": "a hall"}\n{"dialogue_id": 9, "split": "test", "text": "x"}\n')
    found = talk("meld", "Monica")
    beside = gather_clues(found, root=str(tmp_path))
    assert (beside.personas, beside.scenes) == ({"Monica": "somebody else"}, {"train/1": "a hall"})
    (tmp_path / "mine.yaml").write_text("personas:\n  Monica: a third\n")
    named = gather_clues(found, CluesConfig(personas=str(tmp_path / "mine.yaml"), scenes=str(tmp_path / "scenes.jsonl")))
    assert named.personas == {"Monica": "a third"}
    assert named.scenes == beside.scenes


@pytest.mark.parametrize(
    ("content", "tells"),
    [
        ("[1, 2]", "wanted {name: text}"),
        ('{"own": {"A": "b"}}', "has personas for own, wanted meld"),
        ("a: [", "wanted UTF-8 JSON or YAML"),
    ],
)
def test_a_file_that_holds_no_personas_is_an_error(tmp_path: Path, content: str, tells: str) -> None:
    path = tmp_path / "personas.json"
    path.write_text(content)
    with pytest.raises(RapportError, match=tells):
        read_personas(str(path), "meld")
    with pytest.raises(RapportError, match="does not exist"):
        read_personas(str(tmp_path / "none.json"), "meld")


@pytest.mark.parametrize(
    ("line", "tells"),
    [("{", "line 1: no JSON"), ('{"text": "x"}', "wanted dialogue_id"), ('{"dialogue_id": 1, "text": "x", "split": "y"}', "'y'")],
)
def test_a_file_that_holds_no_scenes_is_an_error(tmp_path: Path, line: str, tells: str) -> None:
    (tmp_path / "scenes.jsonl").write_text(line)
    with pytest.raises(RapportError, match=tells):
        gather_clues(talk("meld", "Monica"), root=str(tmp_path))


def season(folder: Path) -> None:
    def said(text: str, note: str | None = None, speakers: tuple[str, ...] = ("Ross Geller",)) -> dict[str, object]:
        return {"utterance_id": "x", "speakers": list(speakers), "transcript": text, "transcript_with_note": note}

    opening = said("", "[Scene: A café, Ross is waiting.]", ())
    later = said("", "[Ross falls over.]", ())
    first = {"scene_id": "s01_e02_c01", "utterances": [opening, said("I have been here all day."), later, said("Ouch.")]}
    second = {"scene_id": "s01_e02_c02", "utterances": [said("Nobody tells me where we are."), later]}
    episodes = [{"episode_id": "s01_e02", "scenes": [first, second]}]
    (folder / "friends_season_01.json").write_text(json.dumps({"season_id": "s01", "episodes": episodes}))


def test_the_stage_direction_before_the_first_line_is_the_scene_and_later_ones_are_not(tmp_path: Path) -> None:
    season(tmp_path)
    for number, text in (("01", "A café, Ross is waiting."), ("02", None)):
        found = talk("emorynlp", "Ross Geller", dialogue=f"s01_e02_c{number}")
        scenes = gather_clues(found, CluesConfig(transcripts=str(tmp_path))).scenes
        assert scenes.get(f"train/s01_e02_c{number}") == text


def test_scenes_of_meld_are_found_by_episode_and_words(tmp_path: Path) -> None:
    season(tmp_path)
    found = talk("meld", "Ross", "Ross", texts=("I’ve been—", "I HAVE been here all day!"))
    assert scenes_from_transcripts(found, str(tmp_path)) == {"train/1": "A café, Ross is waiting."}
    assert scenes_from_transcripts(talk("meld", "Ross", texts=("Ouch.",)), str(tmp_path)) == {}


def test_a_folder_without_transcripts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match=r"friends_season_NN\.json"):
        scenes_from_transcripts(talk("meld", "Ross"), str(tmp_path))
    (tmp_path / "friends_season_02.json").write_text("{}")
    with pytest.raises(RapportError, match="KeyError"):
        scenes_from_transcripts(talk("meld", "Ross"), str(tmp_path))
