"""The fields of an answer while it is being written.

    "<sad"  "<sadness> I mi"  "<sadness> I missed the bus. Emo"  "<sadness> I missed the bus. EmoSDS: <neutral> Oh"
            user: sad          + "I missed the bus."              reply: neutral, + "Oh"

What could still turn into a tag or a label is held back until it is known, so that what was told is never taken back.
"""

from collections.abc import Sequence

from rapport.models.emosds.answer import SYSTEM_LABEL, Answer, parse_answer
from rapport.models.emosds.dialogue import Delta

_LABEL = SYSTEM_LABEL.strip()
_LONGEST_TAG = 16  # characters; a `<` that is followed by more is no tag


class AnswerStream:
    """Turns the growing text of one answer into deltas."""

    def __init__(self, stage: int, emotions: Sequence[str]) -> None:
        self._stage = stage
        self._emotions = emotions
        self._told = Answer(transcript="", reply="")

    def feed(self, text: str) -> Delta:
        """What is new in `text`, the whole answer so far."""
        return self._tell(parse_answer(_settled(text), self._stage, self._emotions))

    def finish(self, text: str) -> tuple[Delta, Answer]:
        """The rest, given the whole answer, and its fields."""
        answer = parse_answer(text, self._stage, self._emotions)
        return self._tell(answer), answer

    def _tell(self, found: Answer) -> Delta:
        told = self._told
        delta = Delta(
            user_emotion=None if told.user_emotion else found.user_emotion,
            transcript=_addition(told.transcript, found.transcript),
            reply_emotion=None if told.reply_emotion else found.reply_emotion,
            reply=_addition(told.reply, found.reply),
        )
        self._told = Answer(
            told.user_emotion or found.user_emotion,
            (told.transcript or "") + delta.transcript,
            told.reply_emotion or found.reply_emotion,
            (told.reply or "") + delta.reply,
        )
        return delta


def _settled(text: str) -> str:
    """The text without an end that more text could turn into something else."""
    text = text.rstrip("\ufffd")  # part of a character whose other bytes are still to come
    opened = text.rfind("<")
    if opened >= 0 and ">" not in text[opened:] and len(text) - opened <= _LONGEST_TAG:
        text = text[:opened]
    for length in range(min(len(text), len(_LABEL)), 0, -1):
        if _LABEL.startswith(text[-length:]):
            return text[:-length]
    return text


def _addition(told: str | None, found: str | None) -> str:
    told, found = told or "", found or ""
    return found[len(told) :] if found.startswith(told) else ""
