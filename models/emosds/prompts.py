"""How an example is put to the model in words.

    stage 1   instruction NL units SP | transcript
    stage 2   instruction NL SP permitted tags SP units SP slots | <emotion> SP transcript
    stage 3   instructions, history NL SP "user: " units SP slots | <emotion> SP transcript SP "EmoSDS: " <emotion> SP reply

What stands before `|` is the prefix and only read; what follows is the target and learned. The instructions of stages 1 and 2 are one of
a hundred wordings each (`wordings/*.txt`, one a line), that of stage 3 is always the same.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rapport.core.errors import RapportError
from rapport.core.examples import USER, Example
from rapport.core.schema import Turn
from rapport.models.emosds.answer import RESIDUAL, SYSTEM_LABEL, USER_LABEL, format_answer, tag_of
from rapport.models.emosds.config import EmosdsConfig

_FOLDER = Path(__file__).parent / "wordings"
_SHORT = {1: "Words:", 2: "Emotion and words:", 3: "Emotion and words, then emotion and words of the reply."}

Choice = Literal["round_robin", "random"]


@dataclass(frozen=True)
class Rendered:
    """An example as text, around the place of the speech."""

    before: str
    """What comes before the units."""
    after: str
    """What comes between the units and the slots of residuals."""
    target: str
    """What is to be answered."""

    def prefix(self, speech: str = "") -> str:
        """The prefix as one text, given the units as text, without slots."""
        return self.before + speech + self.after

    def runtime(self, speech: str, slots: int) -> str:
        """The prefix as the model reads it: with its slots."""
        return self.prefix(speech) + RESIDUAL * slots


@cache
def wordings(stage: int) -> tuple[str, ...]:
    """The instructions of stage 1 or 2, in the order of their file."""
    name = {1: "asr.txt", 2: "asr_ser.txt"}[stage]
    return tuple((_FOLDER / name).read_text(encoding="utf-8").splitlines())


def choose_prompt(index: int, choice: Choice = "round_robin", seed: int = 0, count: int = 100) -> int:
    """Which wording the example at that index of a data set gets: in turn, or at random by the seed and index alone."""
    return index % count if choice == "round_robin" else random.Random(f"{seed}/{index}").randrange(count)


def permitted_tags(emotions: Sequence[str]) -> str:
    """The tags in alphabetical order, as instructions list them."""
    return ", ".join(sorted(map(tag_of, emotions)))


def instruction(stage: int, config: EmosdsConfig, prompt: int = 0) -> str:
    """What comes before units or history, down to its last newline or space."""
    tags = permitted_tags(config.emotions)
    if config.instructions == "short":
        return _SHORT[stage] + "\n"
    if stage == 3:
        return (_FOLDER / "dialogue.txt").read_text(encoding="utf-8").replace("{tags}", tags)
    words = wordings(stage)[prompt % len(wordings(stage))]
    return f"{words}\n" if stage == 1 else f"{words}\n Permitted tags: {tags}. "


def history_lines(turns: Sequence[Turn], marks: re.Pattern[str] | None = None) -> str:
    """The turns as tagged lines, each ended by a newline."""
    lines = []
    for turn in turns:
        tag = f"{tag_of(turn.emotion)} " if turn.emotion else ""
        lines.append(f"{USER_LABEL if turn.speaker == USER else SYSTEM_LABEL}{tag}{free_text(turn.text, marks)}\n")
    return "".join(lines)


def free_text(text: str, marks: re.Pattern[str] | None = None) -> str:
    """The text on one line, with every mark of the system (a tag, a unit, a slot) turned into plain words.

    Without that, a user who writes `<residual>` would ask for a residual that is not there.
    """
    text = " ".join(text.split())  # first, as a label may be written with another space than its own
    if marks is None:
        return text
    return " ".join(marks.sub(lambda found: re.sub(r"[<>|:]", " ", found.group()), text).split())


def render(example: Example, config: EmosdsConfig, marks: re.Pattern[str] | None = None, *, answered: bool = True) -> Rendered:
    """The example as text; without `answered` its target is empty, and fields of the answer may be None.

    `marks` matches what free text must not hold, see `free_text`. Raises RapportError naming an example that lacks a field of its answer.
    """
    stage = example.stage
    before = instruction(stage, config, example.prompt)
    if stage == 3:
        turns = example.history[-config.history_turns :] if config.history_turns else ()
        before += f"{history_lines(turns, marks)} {USER_LABEL}"
    text = free_text(example.text, marks)
    if config.inputs == "text":
        before += text
    target = ""
    if answered:
        reply = None if example.reply_text is None else free_text(example.reply_text, marks)
        try:
            target = format_answer(stage, text, example.emotion, example.reply_emotion, reply)
        except RapportError as error:
            raise RapportError(f"example {example.example_id}: {error}") from error
    return Rendered(before, " ", target)
