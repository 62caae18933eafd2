"""EmoryNLP: scenes of a television show in writing, each line with one of seven emotions.

Source: https://github.com/emorynlp/emotion-detection (annotation, licence Apache-2.0), Zahiri and Choi 2018. There are two forms of it:

    emorynlp_{train,dev,test}_final.csv       the benchmark: 827 scenes, 9,489 lines; in data/emorynlp of the MELD repository
    Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time

    emotion-detection-{trn,dev,tst}.json      the original: 897 scenes, 12,606 lines; in json/ of its repository
    {"season_id", "episodes": [{"episode_id", "scenes": [{"scene_id", "utterances":
        [{"utterance_id": "s01_e02_c01_u002", "speakers": [...], "transcript", "tokens", "emotion"}]}]}]}

The benchmark leaves out lines within most scenes. `history subset` shows a model what the benchmark has, as published work does;
`history full_scene` joins the lines between from the original as context without a label. Either way the benchmark's lines are scored.
The names of several who speak at once are joined by " and ".
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rapport.core import storage
from rapport.core.conversations import LABELS, Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.card import count_deviations, read_conversation_card
from rapport.datasets.conversations.records import (
    BadRow,
    Conversations,
    ReadOptions,
    check_bad,
    check_some,
    first_folder,
    is_made,
    numbered,
)
from rapport.datasets.conversations.tables import Row, Unusable, read_rows
from rapport.datasets.conversations.text import clean

FILES: Mapping[str, str] = {
    "train": "emorynlp_train_final.csv",
    "validation": "emorynlp_dev_final.csv",
    "test": "emorynlp_test_final.csv",
}
ORIGINALS: Mapping[str, str] = {
    "train": "emotion-detection-trn.json",
    "validation": "emotion-detection-dev.json",
    "test": "emotion-detection-tst.json",
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode")
HEADER = (*COLUMNS, "Start_Time", "End_Time")

_BELOW = ("data/emorynlp", "emorynlp", "data")
_BELOW_ORIGINALS = ("json", "emotion-detection/json", "data/emorynlp", "emorynlp")


class Options(ReadOptions):
    """Which form of EmoryNLP to read, and how much of a scene."""

    source: Literal["benchmark", "original"] = "benchmark"
    """benchmark scores the published subset, original every line that was annotated."""
    history: Literal["subset", "full_scene"] = "subset"
    """What stands between the benchmark's lines: nothing, or the other lines of the scene, for which the original files must be there."""
    originals: str | None = None
    """Folder of the original files; looked for in and below the root unless told."""


def read(root: str, options: Options | None = None) -> Conversations:
    """The scenes of the files that are there, with the labels of the benchmark.

    Raises RapportError when there is no file, when a table lacks a column, when too many rows are bad, and when full scenes are wanted of a
    split whose original is not there.
    """
    options = options or Options()
    names = FILES if options.source == "benchmark" else ORIGINALS
    folder = first_folder(root, _BELOW if options.source == "benchmark" else _BELOW_ORIGINALS, list(names.values()))
    originals = options.originals or first_folder(root, _BELOW_ORIGINALS, list(ORIGINALS.values()))
    found = Conversations("emorynlp", LABELS["emorynlp"], [])
    rows = 0
    for split in (s for s in FILES if s in options.splits):
        path = storage.join(originals if options.source == "original" else folder, names[split])
        if not storage.exists(path):
            found.absent[split] = path
        elif options.source == "original":
            rows += _read_original(path, split, found)
        else:
            full = storage.join(originals, ORIGINALS[split]) if options.history == "full_scene" else None
            rows += _read_table(path, split, found, full)
    check_some(found.conversations, found.absent, root, f"{', '.join(names.values())}, here or in {_BELOW[0]}")
    check_bad(found.bad, rows, options, root)
    if options.source == "original":
        found.notes.append("every annotated line is scored: figures on it are not comparable with those of the benchmark's subset")
    elif not is_made(folder):
        found.deviations.extend(count_deviations(read_conversation_card("emorynlp"), found.counts()))
    return found


def write_example(folder: Path) -> None:
    """A scene to learn from and one to check on, in both forms; the original has a line between that the benchmark lacks."""
    said = {
        "train": (
            ("Who took my sandwich?", ["Ross Geller"], "Mad"),
            ("Um...", ["Joey Tribbiani"], "Scared"),
            ("You did!", ["#ALL#"], "Mad"),
        ),
        "validation": (
            ("We won!", ["Monica Geller", "Phoebe Buffay"], "Joyful"),
            ("Tea?", ["Phoebe's Assistant"], "Neutral"),
            ("Lovely.", ["Rachel Green"], "Peaceful"),
        ),
    }
    for split, lines in said.items():
        table = [",".join(HEADER)]
        utterances = []
        for number, (text, speakers, emotion) in enumerate(lines, 1):
            name = f"s01_e02_c03_u{number:03d}"
            utterances.append({"utterance_id": name, "speakers": speakers, "transcript": text, "tokens": [], "emotion": emotion})
            if number != 2:
                cell = str(speakers).replace('"', '""')
                table.append(f'{text},"{cell}",{emotion},3,{number},1,2,00:00:01.000,00:00:02.500')
        (folder / FILES[split]).write_text("\n".join(table) + "\n", encoding="utf-8")
        scenes = [{"scene_id": "s01_e02_c03", "utterances": utterances}]
        original = {"season_id": split, "episodes": [{"episode_id": "s01_e02", "scenes": scenes}]}
        (folder / ORIGINALS[split]).write_text(json.dumps(original, indent=1), encoding="utf-8")


def joined(speakers: Sequence[str]) -> str:
    """The name under which a line is shown: `Monica Geller and Phoebe Buffay`, `All` for `#ALL#`."""
    return " and ".join(clean(s).strip("#").capitalize() if s.startswith("#") else clean(s) for s in speakers)


def _read_table(path: str, split: str, found: Conversations, original: str | None) -> int:
    scenes: dict[str, dict[str, Line]] = {}
    places: dict[str, Row] = {}
    rows = 0
    for row in read_rows(path, COLUMNS):
        rows += 1
        if isinstance(row, BadRow):
            found.bad.append(row)
            continue
        try:
            season, episode, scene, utterance = (row.number(c) for c in ("Season", "Episode", "Scene_ID", "Utterance_ID"))
            name = f"s{season:02d}_e{episode:02d}_c{scene:02d}"
            line_id = f"{name}_u{utterance:03d}"
            line = _line(line_id, _names(row.text("Speaker")), row.text("Utterance"), row.text("Emotion"))
            if line_id in places:
                raise Unusable("duplicate", f"{line_id} stands in line {places[line_id].line} already; the first is kept")
        except Unusable as problem:
            found.bad.append(row.bad(problem.reason, str(problem)))
            continue
        if line.label is None:
            found.bad.append(row.bad("unknown_label", _unknown(row.text("Emotion"))))
        places[line_id] = row
        scenes.setdefault(name, {})[line_id] = line
    context = _scenes_of(original, split, found.bad) if original is not None else {}
    for name, lines in sorted(scenes.items()):
        order = dict(context.get(name, {}))
        for line_id, line in lines.items():
            if original is not None and line_id not in order:
                message = f"{line_id} is not in {original}; it is ordered by its number"
                found.bad.append(places[line_id].bad("no_scene", message))
            order[line_id] = line
        _add(found, name, split, order)
    return rows


def _scenes_of(path: str, split: str, bad: list[BadRow]) -> dict[str, dict[str, Line]]:
    """Scene to its lines, as context without labels."""
    if not storage.exists(path):
        raise RapportError(
            f"{path} does not exist, and history full_scene takes the scenes of split {split} from it: name its folder in originals, "
            "leave the split out of splits, or set history to subset"
        )
    scenes: dict[str, dict[str, Line]] = {}
    for _, name, record in _utterances(path):
        line_id = str(record.get("utterance_id"))
        try:
            line = _line(line_id, _listed(record), str(record.get("transcript") or ""), "")
        except Unusable as problem:
            bad.append(_told(path, line_id, problem.reason, str(problem)))
        else:
            scenes.setdefault(name, {})[line_id] = line
    return scenes


def _read_original(path: str, split: str, found: Conversations) -> int:
    rows = 0
    scenes: dict[str, dict[str, Line]] = {}
    for number, name, record in _utterances(path):
        rows = number
        line_id = str(record.get("utterance_id"))
        emotion = str(record.get("emotion"))
        try:
            line = _line(line_id, _listed(record), str(record.get("transcript") or ""), emotion)
            if line_id in scenes.get(name, {}):
                raise Unusable("duplicate", f"{line_id} stands in {name} already; the first is kept")
        except Unusable as problem:
            found.bad.append(_told(path, line_id, problem.reason, str(problem)))
            continue
        if line.label is None:
            found.bad.append(_told(path, line_id, "unknown_label", _unknown(emotion)))
        scenes.setdefault(name, {})[line_id] = line
    for name, lines in sorted(scenes.items()):
        _add(found, name, split, lines)
    return rows


def _utterances(path: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Number from 1, scene and record of every line of an original file."""
    try:
        data = json.loads(storage.read_bytes(path))
        scenes = [scene for episode in data["episodes"] for scene in episode["scenes"]]
        listed = [(str(scene["scene_id"]), record) for scene in scenes for record in scene["utterances"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RapportError(f"{path}: {error!r}; wanted UTF-8 JSON with episodes, their scenes and their utterances") from error
    yield from ((number, name, record) for number, (name, record) in enumerate(listed, 1))


def _told(path: str, line_id: str, reason: str, message: str) -> BadRow:
    """A bad line of a file of nested JSON, at the line where the id stands."""
    before = storage.read_bytes(path).partition(f'"{line_id}"'.encode())[0]
    return BadRow(path, before.count(b"\n") + 1, reason, f"{line_id}: {message}")


def _add(found: Conversations, name: str, split: str, lines: Mapping[str, Line]) -> None:
    found.conversations.append(Conversation(name, "emorynlp", split, numbered(lines[line_id] for line_id in sorted(lines))))
    found.origins[f"{split}/{name}"] = name.rpartition("_")[0]


def _line(line_id: str, speakers: Sequence[str], text: str, emotion: str) -> Line:
    words = clean(text)
    if not words:
        raise Unusable("empty", "an empty line, wanted what is said")
    if not any(speakers):
        raise Unusable("speaker", "no speaker, wanted at least one name")
    return Line(0, line_id, joined(speakers), words, read_conversation_card("emorynlp").label_map.get(emotion.capitalize()))


def _unknown(emotion: str) -> str:
    return f"emotion {emotion!r}, wanted one of {', '.join(LABELS['emorynlp'])}; the line stays as context without a label"


def _listed(record: Mapping[str, Any]) -> list[str]:
    speakers = record.get("speakers")
    return [str(s) for s in speakers] if isinstance(speakers, list) else []


def _names(cell: str) -> list[str]:
    """The names of a cell such as `['Ross Geller', 'Susan Bunch']`."""
    try:
        names = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise Unusable("speaker", f"column \"Speaker\": {cell!r}, wanted a list of names such as ['Ross Geller']")
    return names
