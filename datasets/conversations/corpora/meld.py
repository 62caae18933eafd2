"""MELD: 1,432 conversations of a television show in writing, 13,708 lines with one of seven emotions.

Source: https://github.com/declare-lab/MELD (licence GPL-3.0), Poria et al. 2019. The root is the folder of the three tables, or a checkout
of the repository, which has them in `data/MELD`:

    train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv
    Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime

Dialogue ids begin anew in each table. Utterance ids have gaps in some dialogues: lines are ordered by them, and nothing is filled in.
Curly quotes, dashes and ellipses, which a quarter of the lines have, become plain ones.
"""

from collections.abc import Mapping
from pathlib import Path

from rapport.core import storage
from rapport.core.conversations import LABELS, Conversation, Line
from rapport.datasets.conversations.card import count_deviations, read_conversation_card
from rapport.datasets.conversations.records import (
    BadRow,
    Conversations,
    ReadOptions,
    check_bad,
    check_some,
    first_folder,
    is_made,
    key_of,
    numbered,
)
from rapport.datasets.conversations.tables import Row, Unusable, read_rows
from rapport.datasets.conversations.text import clean

FILES: Mapping[str, str] = {"train": "train_sent_emo.csv", "validation": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "Season", "Episode")
HEADER = (
    "Sr No.",
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
"""All columns as published; those of `COLUMNS` are needed."""

_BELOW = ("data/MELD", "MELD", "data")


class Options(ReadOptions):
    """How to read MELD."""


def read(root: str, options: Options | None = None) -> Conversations:
    """The conversations of the tables that are there, with the labels of the benchmark.

    Raises RapportError when there is no table, when one lacks a column, or when too many rows are bad.
    """
    options = options or Options()
    folder = first_folder(root, _BELOW, list(FILES.values()))
    found = Conversations("meld", LABELS["meld"], [])
    rows = 0
    for split in (s for s in FILES if s in options.splits):
        path = storage.join(folder, FILES[split])
        if storage.exists(path):
            rows += _read_table(path, split, found)
        else:
            found.absent[split] = path
    check_some(found.conversations, found.absent, root, f"{', '.join(FILES.values())}, here or in {_BELOW[0]}")
    check_bad(found.bad, rows, options, root)
    if not is_made(folder):
        found.deviations.extend(count_deviations(read_conversation_card("meld"), found.counts()))
    return found


def write_example(folder: Path) -> None:
    """Two conversations to learn from and one to check on, in the true layout."""
    said = {
        "train": (
            ("“Wait” — is that cake?…", "Joey", "surprise", 0, 0),
            ("It was. You’re late.", "Monica", "anger", 0, 2),
            ("I’ll get my coat.", "Ross", "neutral", 1, 0),
        ),
        "validation": (("They said yes!", "Rachel", "joy", 0, 0), ("To us? Really?", "Phoebe", "surprise", 0, 1)),
    }
    for split, lines in said.items():
        table = [",".join(HEADER)]
        for number, (text, speaker, emotion, dialogue, utterance) in enumerate(lines, 1):
            times = '"00:00:01,000","00:00:02,500"'
            table.append(f'{number},"{text}",{speaker},{emotion},neutral,{dialogue},{utterance},1,{dialogue + 1},{times}')
        (folder / FILES[split]).write_text("\n".join(table) + "\n", encoding="utf-8")


def _read_table(path: str, split: str, found: Conversations) -> int:
    """The number of rows of a table, whose conversations are added to `found`."""
    dialogues: dict[int, dict[int, Line]] = {}
    rows = 0
    for row in read_rows(path, COLUMNS):
        rows += 1
        if isinstance(row, BadRow):
            found.bad.append(row)
            continue
        try:
            dialogue, utterance, line = _line(row, found)
            if utterance in dialogues.get(dialogue, {}):
                raise Unusable("duplicate", f"dialogue {dialogue} has an utterance {utterance} already; the first is kept")
        except Unusable as problem:
            found.bad.append(row.bad(problem.reason, str(problem)))
            continue
        if dialogue not in dialogues:
            dialogues[dialogue] = {}
            found.origins[f"{split}/{dialogue}"] = f"s{row.number('Season'):02d}_e{row.number('Episode'):02d}"
        dialogues[dialogue][utterance] = line
    for dialogue in sorted(dialogues):
        lines = dialogues[dialogue]
        conversation = Conversation(str(dialogue), "meld", split, numbered(lines[u] for u in sorted(lines)))
        assert key_of(conversation) in found.origins
        found.conversations.append(conversation)
    return rows


def _line(row: Row, found: Conversations) -> tuple[int, int, Line]:
    """Dialogue, utterance and line of a row; an unknown label is told and leaves the line as context."""
    dialogue, utterance = row.number("Dialogue_ID"), row.number("Utterance_ID")
    row.number("Season"), row.number("Episode")
    text, speaker = clean(row.text("Utterance")), clean(row.text("Speaker"))
    if not text:
        raise Unusable("empty", 'column "Utterance": empty, wanted what is said')
    if not speaker:
        raise Unusable("speaker", 'column "Speaker": empty, wanted a name')
    labels = read_conversation_card("meld").label_map
    emotion = row.text("Emotion")
    label = labels.get(emotion.lower())
    if label is None:
        message = f'column "Emotion": {emotion!r}, wanted one of {", ".join(labels)}; the line stays as context without a label'
        found.bad.append(row.bad("unknown_label", message))
    return dialogue, utterance, Line(0, str(utterance), speaker, text, label)
