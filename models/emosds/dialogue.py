"""What a dialogue engine takes and gives: speech and history in, the fields of the answer out, whole or as they are written.

Imports no torch, so that a web front can speak of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rapport.core.schema import Turn
from rapport.models.emosds.answer import Answer, Piece
from rapport.models.emosds.config import GenerationConfig

FORMED = GenerationConfig(constrained=True)
"""The likeliest answer that has the form of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One utterance to answer."""

    samples: npt.NDArray[np.float32]
    """[S] speech, 16 kHz."""
    history: tuple[Turn, ...] = ()
    """Turns before it, oldest first, by `USER` and `ASSISTANT` of rapport.core.examples; the model reads the last few. An emotion that it
    has no tag for is left out."""
    replies: bool = True
    """Whether a reply is wanted; otherwise the emotion and the words alone."""
    generation: GenerationConfig = FORMED
    """How the answer is written. Questions of equal settings are answered in one batch."""
    seed: int = 0
    """Of what is drawn, when anything is: the same seed gives the same answer, whatever is answered beside it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer."""

    answer: Answer
    finished: bool
    """Whether it ended by itself, before `max_new_tokens`."""
    question_tokens: int
    answer_tokens: int
    user_scores: dict[str, float] | None = None
    """Probability of each emotion of the user, where the model was asked for one."""
    reply_scores: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine is."""

    emotions: tuple[str, ...]
    """Canonical emotions that it may hear and answer with."""
    replies: bool
    """Whether it was trained to reply; otherwise it only hears."""
    base: str
    """The language model that it was made from."""
    history_turns: int
    """How many turns before the utterance it reads."""


class DialogueEngine(Protocol):
    """A model that answers speech. Not thread-safe: calls take turns."""

    @property
    def facts(self) -> EngineFacts:
        """What it is."""
        ...

    def reply(self, questions: Sequence[Question]) -> list[Reply]:
        """The answer to each question, written together.

        Raises RapportError when the model does not do what a question asks for, or has no room for it.
        """
        ...

    def stream(
        self, questions: Sequence[Question], gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, Piece | Reply | Exception]]]:
        """The same as it is written: at each step, which questions have something new, and what.

        The last of a question is its `Reply`, or the error for which it cannot be answered; an error of one is none of the others.
        `gone` tells of a question whether its listener has left. It is asked at every step, and no more is written for one that has.
        """
        ...
