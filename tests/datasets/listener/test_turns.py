from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora.iemocap import HEADER
from rapport.datasets.listener.turns import TurnIndex, TurnsConfig, index_turns, read_turns, write_turns

Said = tuple[str, float, float]


def write(root: Path, dialogue: str, *said: Said, motion: str | None = None) -> Path:
    """A dialogue of utterances (number, start_s, end_s), with recordings and motion of no bytes, motion perhaps of another name."""
    session = root / f"Session{int(dialogue[3:5])}"
    lines = [HEADER]
    for number, start_s, end_s in said:
        lines.append(f"[{start_s} - {end_s}]\t{dialogue}_{number}\tfru\t[2.0, 3.0, 4.0]")
        for path in (f"wav/{dialogue}/{dialogue}_{number}.wav", f"MOCAP_head/{motion or dialogue}/{motion or dialogue}_{number}.txt"):
            (session / "sentences" / path).parent.mkdir(parents=True, exist_ok=True)
            (session / "sentences" / path).touch()
    (session / "dialog/EmoEvaluation").mkdir(parents=True, exist_ok=True)
    (session / "dialog/EmoEvaluation" / f"{dialogue}.txt").write_text("\n".join(lines))
    return session


def names(index: TurnIndex) -> list[str]:
    return [turn.turn_id.removeprefix("iemocap/") for turn in index.turns]


def test_who_wears_the_markers_listens_while_the_other_speaks(tmp_path: Path) -> None:
    write(tmp_path, "Ses01F_impro01", ("F000", 0, 2), ("M000", 2, 5))
    write(tmp_path, "Ses01M_impro01", ("F000", 0, 2), ("M000", 2, 5))
    index = index_turns(str(tmp_path))
    assert names(index) == ["Ses01F_impro01_M000", "Ses01M_impro01_F000"]
    assert index.reasons == {"own_turn": 2}
    turn = index.turns[0]
    assert (turn.session, turn.dialogue, turn.listener, turn.speaker) == (
        "session1",
        "iemocap/Ses01F_impro01",
        "iemocap/Ses01_F",
        "iemocap/Ses01_M",
    )
    assert (turn.start_s, turn.end_s, turn.duration_s) == (2.0, 5.0, 3.0)
    assert (turn.emotion, turn.valence, turn.activation, turn.dominance) == ("frustrated", 2.0, 3.0, 4.0)
    assert turn.audio_path.endswith("sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav")
    assert turn.mocap_path.endswith("sentences/MOCAP_head/Ses01F_impro01/Ses01F_impro01_M000.txt")
    assert turn.channel is None


def test_a_listener_who_speaks_too_is_told_and_dropped_on_demand(tmp_path: Path) -> None:
    said = (("M000", 0, 3), ("F000", 2.5, 4), ("M001", 4, 6), ("M002", 5, 7), ("F001", 7.0, 9))
    write(tmp_path, "Ses01F_impro01", *said)
    index = index_turns(str(tmp_path))
    assert {t.turn_id[-4:]: t.overlaps for t in index.turns} == {"M000": True, "M001": False, "M002": False}
    index = index_turns(str(tmp_path), TurnsConfig(keep_overlaps=False))
    assert names(index) == ["Ses01F_impro01_M001", "Ses01F_impro01_M002"]
    assert index.reasons == {"overlap": 1, "own_turn": 2}


def test_motion_that_is_published_under_another_name_is_found(tmp_path: Path) -> None:
    write(tmp_path, "Ses05M_script01_1b", ("F000", 0, 2), motion="Ses05M_script01_1")
    (turn,) = index_turns(str(tmp_path)).turns
    assert turn.turn_id == "iemocap/Ses05M_script01_1b_F000"
    assert turn.mocap_path.endswith("Ses05M_script01_1/Ses05M_script01_1_F000.txt")


def test_every_utterance_is_a_turn_or_dropped_with_a_reason(tmp_path: Path) -> None:
    session = write(tmp_path, "Ses01F_impro01", ("M000", 0, 2), ("M001", 3, 3.9), ("M002", 4, 6), ("M003", 7, 9), ("F000", 9, 12))
    sentences = session / "sentences"
    (sentences / "wav/Ses01F_impro01/Ses01F_impro01_M002.wav").unlink()
    (sentences / "MOCAP_head/Ses01F_impro01/Ses01F_impro01_M003.txt").unlink()
    (sentences / "MOCAP_head/Ses01F_impro01/._Ses01F_impro01_M003.txt").touch()
    (sentences / "wav/Ses01F_impro01/Ses01F_impro01_M004.wav").touch()
    index = index_turns(str(tmp_path))
    assert names(index) == ["Ses01F_impro01_M000"]
    assert {d.turn_id[-4:]: d.reason for d in index.dropped} == {
        "M001": "too_short",
        "M002": "no_audio",
        "M003": "no_motion",
        "M004": "no_times",
        "F000": "own_turn",
    }
    assert "min_duration_s is 1" in next(d.message for d in index.dropped if d.reason == "too_short")
    assert len(index_turns(str(tmp_path), TurnsConfig(min_duration_s=0.5)).turns) == 2


def test_a_corpus_without_a_listener_is_an_error_that_counts_why(tmp_path: Path) -> None:
    write(tmp_path, "Ses01F_impro01", ("F000", 0, 2))
    with pytest.raises(RapportError, match=r"dropped 1 own_turn.*sentences/MOCAP_head"):
        index_turns(str(tmp_path))


def test_an_index_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "corpus", "Ses01F_impro01", ("F000", 0, 2), ("M000", 2, 5))
    index = index_turns(str(tmp_path / "corpus"))
    write_turns(tmp_path / "index", index)
    assert read_turns(tmp_path / "index") == index
    with pytest.raises(RapportError, match="does not exist"):
        read_turns(tmp_path / "none")
