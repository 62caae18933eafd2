"""EmoSC dialogues: what was said before, one sentence said in two emotions, and a fitting reply to each.

A file `EmoSC_dialogues.jsonl` holds one object a line, each turn as `speaker: <emotion> text`, A being the user and B the assistant:

    {"history_turns": ["B: <neutral> Is the cake ready?", "A: <happiness> Nearly!", "B: <happiness> Smells good."],
     "current_turn1": "A: <surprise> It fell on the floor.", "current_turn2": "A: <anger> It fell on the floor.",
     "response_turn1": "B: <sadness> Oh no, all of it?", "response_turn2": "B: <neutral> Let me help you clean up."}

The current turns are matched to recordings by emotion and `sentence_key`. A line that cannot be used is told by number and reason.
"""

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Dialogue, Turn

FILE = "EmoSC_dialogues.jsonl"
EMOTION_OF: Mapping[str, str] = {"anger": "angry", "happiness": "happy", "neutral": "neutral", "sadness": "sad", "surprise": "surprised"}
"""The file's tags to canonical emotions."""
KEYS = ("history_turns", "current_turn1", "current_turn2", "response_turn1", "response_turn2")

_TAG_OF = {emotion: tag for tag, emotion in EMOTION_OF.items()}
_SPEAKER_OF = {"A": USER, "B": ASSISTANT}
_LETTER_OF = {speaker: letter for letter, speaker in _SPEAKER_OF.items()}
_TURN = re.compile(r"\s*([A-Z])\s*:\s*<([^<>]*)>\s*(.*\S)\s*", re.DOTALL)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A history and two ways in which it goes on: the same words in two emotions, and the reply to each."""

    id: int
    """Its line in the file, counted from 0."""
    history: tuple[Turn, Turn, Turn]
    """By the assistant, the user, the assistant."""
    current: tuple[Turn, Turn]
    """By the user: the turn that is heard, in each variant."""
    reply: tuple[Turn, Turn]
    """By the assistant, in each variant."""

    def dialogue_id(self, variant: int) -> str:
        """`<line>_<variant>`."""
        return f"{self.id}_{variant}"

    def dialogue(self, variant: int) -> Dialogue:
        """The whole conversation in one variant, 0 or 1."""
        return Dialogue(self.dialogue_id(variant), (*self.history, self.current[variant], self.reply[variant]))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no scenario."""

    line: int
    """Counted from 0."""
    reason: str
    """A short code: `empty`, `json`, `keys`, `form`, `speakers`, `tag`, `words`, `emotions`, `letters`."""
    message: str
    """Value seen, value wanted."""


@dataclass(frozen=True, slots=True)
class Dialogues:
    """What a file holds: its scenarios, and by name every line that is none."""

    scenarios: list[Scenario]
    bad: list[BadLine] = field(default_factory=list)


class Unusable(Exception):
    """Raised for an object that is no scenario; the text tells value seen and value wanted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_dialogues(path: str | Path, *, faithful: bool = False) -> Dialogues:
    """The scenarios of a file, each under its line number, and its bad lines.

    `faithful` keeps what the published build keeps: scenarios whose two current turns differ in words or share an emotion, and letters of
    other scripts. Raises RapportError when the file is absent or holds no scenario at all.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted a file of dialogues such as {FILE}")
    text = storage.read_bytes(path).decode("utf-8-sig", errors="replace")
    found = Dialogues([])
    # Not splitlines, which also breaks at separators that JSON allows inside a string.
    for number, line in enumerate(text.removesuffix("\n").split("\n")):
        try:
            found.scenarios.append(parse_line(number, line, faithful=faithful))
        except Unusable as problem:
            found.bad.append(BadLine(number, problem.reason, f"{path} line {number + 1}: {problem}"))
    if not found.scenarios:
        raise RapportError(f"{path} holds no dialogue; {found.bad[0].message}")
    return found


def parse_line(number: int, line: str, *, faithful: bool = False) -> Scenario:
    """The scenario of one line.

    Raises Unusable with the reason.
    """
    if not line.strip():
        raise Unusable("empty", "an empty line, wanted a JSON object")
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise Unusable("json", f"no JSON ({error.msg} at column {error.colno})") from None
    return parse_record(number, record, faithful=faithful)


def parse_record(number: int, record: Any, *, faithful: bool = False) -> Scenario:
    """The scenario of one parsed object.

    Raises Unusable with the reason.
    """
    if not isinstance(record, dict) or (missing := [key for key in KEYS if key not in record]):
        raise Unusable(
            "keys", f"wanted an object with {', '.join(KEYS)}; missing {', '.join(missing) if isinstance(record, dict) else 'all'}"
        )
    history = record["history_turns"]
    if not isinstance(history, list) or len(history) != 3:
        raise Unusable(
            "form", f"history_turns wants three turns, has {len(history) if isinstance(history, list) else type(history).__name__}"
        )
    places = [(f"history_turns[{i}]", turn, "BAB"[i]) for i, turn in enumerate(history)]
    places += [(key, record[key], "A" if key.startswith("current") else "B") for key in KEYS[1:]]
    turns = [_turn(place, text, speaker) for place, text, speaker in places]
    scenario = Scenario(number, (turns[0], turns[1], turns[2]), (turns[3], turns[4]), (turns[5], turns[6]))
    if not faithful:
        _check(scenario, places)
    return scenario


def to_record(scenario: Scenario) -> dict[str, Any]:
    """The object that stands for a scenario in a file."""
    turns = [
        f"{_LETTER_OF[t.speaker]}: <{_TAG_OF[t.emotion or '']}> {t.text}" for t in (*scenario.history, *scenario.current, *scenario.reply)
    ]
    return dict(zip(KEYS, (turns[:3], *turns[3:]), strict=True))


def to_jsonl(scenarios: Iterable[Scenario]) -> str:
    """The lines of a file, in the order given, which numbers them anew."""
    return "".join(json.dumps(to_record(scenario), ensure_ascii=False) + "\n" for scenario in scenarios)


def write_dialogues(path: str | Path, scenarios: Iterable[Scenario]) -> None:
    """Write a file of scenarios, whole or not at all; the n-th gets line n, whatever its id."""
    storage.write_bytes(path, to_jsonl(scenarios).encode())


def sentence_key(text: str, *, keep_case: bool = False) -> str:
    """The sentence as recordings are found by it: plain ASCII letters and digits with single spaces.

    The published build keeps case (`keep_case`), so that a sentence written otherwise in the dialogues is not found.
    """
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    key = " ".join(ascii_only.translate(_NO_PUNCTUATION).split())
    return key if keep_case else key.lower()


def balance(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Counts that tell how even the dialogues are.

    `scenarios`, `sentences` (different ones), `turns` (part of the scenario to emotion to count), and `reply_of` (the user's emotion to
    the reply's emotion to count, both variants together).
    """
    parts = {"history": [t for s in scenarios for t in s.history]}
    parts |= {f"current_{k + 1}": [s.current[k] for s in scenarios] for k in (0, 1)}
    parts |= {f"reply_{k + 1}": [s.reply[k] for s in scenarios] for k in (0, 1)}
    replies: dict[str, Counter[str]] = {emotion: Counter() for emotion in EMOTION_OF.values()}
    for scenario in scenarios:
        for current, reply in zip(scenario.current, scenario.reply, strict=True):
            replies[str(current.emotion)][str(reply.emotion)] += 1
    return {
        "scenarios": len(scenarios),
        "sentences": len({sentence_key(s.current[0].text) for s in scenarios}),
        "turns": {part: _sorted(Counter(str(t.emotion) for t in turns)) for part, turns in parts.items()},
        "reply_of": {emotion: _sorted(counts) for emotion, counts in sorted(replies.items()) if counts},
    }


def _turn(place: str, text: Any, speaker: str) -> Turn:
    match = _TURN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Unusable("form", f"{place} is {str(text)[:80]!r}, wanted such as '{speaker}: <neutral> Some words.'")
    if match[1] != speaker:
        raise Unusable("speakers", f"{place} is by {match[1]}, wanted {speaker}")
    if match[2] not in EMOTION_OF:
        near = get_close_matches(match[2], EMOTION_OF, n=1, cutoff=0.5)
        raise Unusable(
            "tag", f"{place} has the tag <{match[2]}>, wanted one of {', '.join(EMOTION_OF)}" + (f" ({near[0]}?)" if near else "")
        )
    return Turn(_SPEAKER_OF[speaker], match[3], EMOTION_OF[match[2]])


def _check(scenario: Scenario, places: Sequence[tuple[str, str, str]]) -> None:
    first, second = scenario.current
    if sentence_key(first.text) != sentence_key(second.text):
        raise Unusable("words", f"the current turns differ in words: {first.text!r} and {second.text!r}")
    if first.emotion == second.emotion:
        raise Unusable("emotions", f"both current turns are {first.emotion}, wanted two emotions")
    for place, text, _ in places:
        odd = next((c for c in text if c.isalpha() and "LATIN" not in unicodedata.name(c, "")), None)
        if odd is not None:
            raise Unusable("letters", f"{place} holds {odd!r}, a letter of another script")


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
