"""One example of the speech language model: what is heard, what went before, and what is to be answered. Written by the data builder,
read by training and evaluation; the wording of prompts is left to the model, so that a row stays true when the wording changes.
"""

from dataclasses import dataclass
from typing import Literal

from rapport.core.schema import Turn

Stage = Literal[1, 2, 3]
STAGES: tuple[Stage, ...] = (1, 2, 3)
USER, ASSISTANT = "user", "assistant"
"""The two speakers of a history."""


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance and its answer. Stage 1 answers with `text`, stage 2 with `emotion` and `text`, stage 3 with these and the reply."""

    example_id: str
    """Unique within a build: `<stage>/<utterance_id>`, in stage 3 `3/<dialogue_id>/<utterance_id>`."""
    stage: Stage
    split: str
    """`train`, `validation` or `test`."""
    utterance_id: str
    """Of the speech that is heard, as in the prepared corpus and in the unit store."""
    corpus: str
    text: str
    """What is said, as it is to be written."""
    emotion: str | None = None
    """How it is said, canonical; None in stage 1 where it is not known."""
    speaker_id: str | None = None
    duration_s: float | None = None
    prompt: int = 0
    """Chooses the wording of the instruction, counted from 0 and taken modulo the number of wordings."""
    history: tuple[Turn, ...] = ()
    """Turns before the utterance, oldest first, by `USER` and `ASSISTANT`; empty before stage 3."""
    reply_text: str | None = None
    reply_emotion: str | None = None
    """How the reply is to be said, canonical."""
    dialogue_id: str | None = None
    """`<scenario>_<variant>`: the two variants of a scenario have the same history and words, and different emotions."""
    variant: int | None = None
    """0 or 1, in stage 3."""
