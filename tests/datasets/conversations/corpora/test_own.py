"""A user's own conversations need no code: one file, perhaps labels, personas and scenes beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.conversations.corpora.own import FILE, LABEL_FILE, Options, read, write_example

PATIENT = Options(max_bad_fraction=1)


def write(folder: Path, *records: Any) -> None:
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def dialogue(number: object = 1, *labels: str | None, **more: Any) -> dict[str, Any]:
    turns = [{"speaker": "Nora", "text": f"Line {n}.", "label": label} for n, label in enumerate(labels or ("calm",))]
    return {"dialogue_id": number, "split": "train", "turns": turns, **more}


def test_the_least_that_is_needed_is_speakers_and_texts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"dialogue_id": 1, "turns": [{"speaker": "Nora", "text": "Who’s there?", "label": "fear"}, {"speaker": "Eli", "text": "Me."}]},
    )
    found = read(str(tmp_path))
    (only,) = found.conversations
    assert (found.corpus, found.labels) == ("own", ("fear",))
    assert [(x.turn, x.line_id, x.text, x.label) for x in only.lines] == [(0, "0", "Who's there?", "fear"), (1, "1", "Me.", None)]
    assert any("no split" in note for note in found.notes)
    assert read(str(tmp_path / FILE)) == found, "the root may be the file"


def test_labels_come_from_their_file_or_in_the_order_in_which_they_appear(tmp_path: Path) -> None:
    write(tmp_path, dialogue(1, "b", "a", "b"))
    assert read(str(tmp_path)).labels == ("b", "a")
    (tmp_path / LABEL_FILE).write_text('["a", "b", "c"]')
    found = read(str(tmp_path))
    assert found.labels == ("a", "b", "c")
    (tmp_path / LABEL_FILE).write_text('{"own": ["a", "b"]}')
    assert read(str(tmp_path)).labels == ("a", "b")
    (tmp_path / LABEL_FILE).write_text('["a", "a"]')
    with pytest.raises(RapportError, match="different labels"):
        read(str(tmp_path))


def test_a_corpus_with_known_labels_keeps_their_order(tmp_path: Path) -> None:
    write(tmp_path, dialogue(1, "angry", dataset="meld"))
    assert read(str(tmp_path)).labels[0] == "neutral"


def test_clues_beside_the_file_and_within_it_are_taken(tmp_path: Path) -> None:
    write_example(tmp_path)
    found = read(str(tmp_path))
    assert found.clues.personas == {"Nora": "a night nurse who startles easily"}
    assert found.clues.scenes == {"train/t": "a kitchen at night"}
    write(tmp_path, dialogue("t", "fear", scene="a “big” hall"))
    assert read(str(tmp_path)).clues.scenes == {"train/t": 'a "big" hall'}


def test_conversations_without_a_split_are_divided_the_same_way_whatever_else_is_there(tmp_path: Path) -> None:
    write(tmp_path, *({k: v for k, v in dialogue(n).items() if k != "split"} for n in range(300)))
    sides = {c.dialogue_id: c.split for c in read(str(tmp_path)).conversations}
    shares = [list(sides.values()).count(s) / 300 for s in ("train", "validation", "test")]
    assert 0.7 < shares[0] < 0.9
    assert min(shares) > 0.04
    write(tmp_path, *({k: v for k, v in dialogue(n).items() if k != "split"} for n in range(100, 200)))
    assert all(sides[c.dialogue_id] == c.split for c in read(str(tmp_path)).conversations)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("{not json", "json"),
        ('["a list"]', "json"),
        ({"dialogue_id": 2}, "keys"),
        (dialogue("a/b"), "keys"),
        (dialogue(2, split="later"), "keys"),
        (dialogue(1), "duplicate"),
        (dialogue(2, "calm", turns=[{"speaker": "Nora", "text": "Yes.", "label": "bored"}]), "unknown_label"),
        (dialogue(2, turns=[{"speaker": "Nora", "text": " "}, {"speaker": "Eli", "text": "Hm."}]), "empty"),
        (dialogue(2, turns=[{"speaker": "N", "text": "A.", "utt_id": "x"}, {"speaker": "N", "text": "B.", "utt_id": "x"}]), "duplicate"),
        (dialogue(2, turns=[{"text": "Who?"}, {"speaker": "Eli", "text": "Hm."}]), "keys"),
    ],
)
def test_a_broken_line_is_told_by_file_line_and_reason(tmp_path: Path, broken: Any, reason: str) -> None:
    (tmp_path / LABEL_FILE).write_text('["calm"]')
    write(tmp_path, dialogue(1), broken)
    found = read(str(tmp_path), PATIENT)
    assert [(b.line, b.reason) for b in found.bad] == [(2, reason)]
    assert found.bad[0].file.endswith(FILE)
    with pytest.raises(RapportError, match=r"dialogues.jsonl line 2: "):
        read(str(tmp_path))


def test_bytes_that_are_not_utf_8_cost_their_own_line(tmp_path: Path) -> None:
    write(tmp_path, dialogue(1))
    with open(tmp_path / FILE, "ab") as file:
        file.write(b'{"dialogue_id": "\xff"}\n')
    assert [(b.line, b.reason) for b in read(str(tmp_path), PATIENT).bad] == [(2, "encoding")]


def test_one_of_several_corpora_must_be_named(tmp_path: Path) -> None:
    write(tmp_path, dialogue(1, dataset="a"), dialogue(2, dataset="b"))
    with pytest.raises(RapportError, match="holds a, b: name one of them in the option dataset"):
        read(str(tmp_path))
    found = read(str(tmp_path), Options(dataset="b"))
    assert [(c.corpus, c.dialogue_id) for c in found.conversations] == [("b", "2")]


def test_conversations_without_any_label_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, dialogue(1, None))
    with pytest.raises(RapportError, match="no line has a label"):
        read(str(tmp_path))
