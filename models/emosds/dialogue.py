"""What a dialogue engine takes and gives: speech and history in, the fields of the answer out, whole or as they are written.

Imports no torch, so that a web front can speak of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from rapport.core.schema import Turn
from rapport.models.emosds.answer import Answer

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen."""

    temperature: float = 0.0
    """0 takes the likeliest token each time; 1 draws as the model believes."""
    top_p: float = 1.0
    """Draw only from the likeliest tokens that together have this probability."""
    top_k: int = 0
    """Draw only from so many of the likeliest tokens; 0 is all."""
    seed: int = 0
    """Of the draw: equal questions with equal seeds have equal answers, whatever is in the batch beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One utterance to answer."""

    samples: npt.NDArray[np.float32]
    """[S] speech, 16 kHz."""
    history: tuple[Turn, ...] = ()
    """Turns before it, oldest first, by `USER` and `ASSISTANT` of rapport.core.examples."""
    replies: bool = True
    """Whether a reply is wanted; otherwise the emotion and the words alone."""
    max_tokens: int = 256
    """Most tokens of the whole answer."""
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer."""

    answer: Answer
    finish: Finish
    """`length` when `max_tokens` cut it short."""
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Delta:
    """What has become known of an answer since the last look; texts are additions, to be joined as they come."""

    user_emotion: str | None = None
    transcript: str = ""
    reply_emotion: str | None = None
    reply: str = ""
    done: Reply | None = None
    """Comes with the last delta. Its texts are those of all deltas together."""

    def __bool__(self) -> bool:
        return bool(self.user_emotion or self.transcript or self.reply_emotion or self.reply or self.done)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine is."""

    emotions: tuple[str, ...]
    """Canonical emotions that it may hear and answer with."""
    stage: int
    """2 hears only, 3 replies as well."""
    base: str
    """The language model that it was made from."""
    clusters: int
    max_tokens: int
    """Most tokens of question and answer together."""


class DialogueEngine(Protocol):
    """A model that answers speech. Not thread-safe: calls take turns."""

    @property
    def facts(self) -> EngineFacts:
        """What it is."""
        ...

    def reply(self, questions: Sequence[Question]) -> list[Reply]:
        """The answer to each question, decoded together.

        Raises RapportError when the model cannot reply, or a question does not fit into its context.
        """
        ...

    def stream(self, questions: Sequence[Question]) -> Iterator[list[Delta]]:
        """The same as it is written: at each step a delta a question, in the order of the questions, most of them empty.

        Ends when the last answer is done. The same errors, before the first step.
        """
        ...
