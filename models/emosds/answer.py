"""The model's answer as text, and back: which emotion the user had, what was said, which emotion the reply has, and the reply.

    stage 1   I missed the last bus.
    stage 2   <sadness> I missed the last bus.
    stage 3   <sadness> I missed the last bus. EmoSDS: <neutral> That is rough, shall I look for a night train?

Emotions are canonical ones everywhere in the system; only the text holds tags, and this is the one place that maps them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rapport.core.emotions import EMOTIONS as VOCABULARY
from rapport.core.errors import RapportError

# Published names of the five; every other emotion is its own tag.
_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "surprised": "surprise"}

TAGS: Mapping[str, str] = MappingProxyType({emotion: f"<{_NAMES.get(emotion, emotion)}>" for emotion in VOCABULARY})
"""Canonical emotion to the tag that stands for it in text."""

EMOTIONS: tuple[str, ...] = ("angry", "happy", "neutral", "sad", "surprised")
"""The five of the published system, in the order of their tags, which is the order of its classes."""

USER_LABEL, SYSTEM_LABEL = "user: ", "EmoSDS: "
"""What a line of dialogue begins with; the trailing space belongs to it."""

_EMOTION_OF = {tag: emotion for emotion, tag in TAGS.items()}
_TAG = re.compile(r"<([a-z]+)>")
_SYSTEM = re.compile(rf"\s*{re.escape(SYSTEM_LABEL.strip())}\s*")


@dataclass(frozen=True)
class Answer:
    """What the model said, field by field; a field that could not be read is None."""

    user_emotion: str | None = None
    """Canonical emotion of the speech; None in stage 1."""
    transcript: str | None = None
    """What was said."""
    reply_emotion: str | None = None
    """Canonical emotion of the reply; None in stages 1 and 2."""
    reply: str | None = None
    """The reply; None in stages 1 and 2."""
    malformed: str | None = None
    """The first way in which the text departs from the form; None when it does not."""


FieldName = Literal["user_emotion", "transcript", "reply_emotion", "reply"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stream brings next: an emotion as a whole, words bit by bit."""

    field: FieldName
    text: str
    """A canonical emotion, or words as they follow the earlier ones of their field, spaces included."""


def tag_of(emotion: str) -> str:
    """The tag of a canonical emotion.

    Raises RapportError for one that is not in the vocabulary.
    """
    if emotion not in TAGS:
        raise RapportError(f"emotion {emotion!r} has no tag: wanted one of {', '.join(TAGS)}")
    return TAGS[emotion]


def format_answer(
    stage: int, transcript: str, user_emotion: str | None = None, reply_emotion: str | None = None, reply: str | None = None
) -> str:
    """The target text of a stage.

    Raises RapportError when the stage needs a field that is None.
    """
    if stage == 1:
        return transcript
    heard = f"{_tag_for('user_emotion', user_emotion, stage)} {transcript}"
    if stage == 2:
        return heard
    if reply is None:
        raise RapportError("reply is None: stage 3 wants the text of the reply")
    return f"{heard} {SYSTEM_LABEL}{_tag_for('reply_emotion', reply_emotion, stage)} {reply}"


def parse_answer(text: str, stage: int, emotions: Sequence[str] = EMOTIONS) -> Answer:
    """The fields of a generated text, as many as can be read: nothing raises, `malformed` tells what is wrong first.

    Spaces may be missing or doubled. `emotions` are those that the model may name; another tag counts as malformed.
    """
    text = text.strip()
    if stage == 1:
        return Answer(transcript=_plain(text), malformed=None if text else "nothing was transcribed")
    heard, label, said = _split(text)
    user_emotion, transcript, wrong = _tagged(heard, "user", "transcript", emotions)
    problems = [wrong]
    if stage == 2:
        problems.append(f"{SYSTEM_LABEL.strip()!r} follows the transcript" if label else None)
        return Answer(user_emotion, transcript, malformed=_first(problems))
    if not label:
        return Answer(user_emotion, transcript, malformed=_first([*problems, f"no {SYSTEM_LABEL.strip()!r} after the transcript"]))
    reply_emotion, reply, wrong = _tagged(said, "reply", "reply", emotions)
    problems.append(wrong)
    return Answer(user_emotion, transcript, reply_emotion, reply, _first(problems))


def _tag_for(field: str, emotion: str | None, stage: int) -> str:
    if emotion is None:
        raise RapportError(f"{field} is None: stage {stage} wants an emotion")
    return tag_of(emotion)


def _split(text: str) -> tuple[str, bool, str]:
    """What stands before the first system label, whether there is one, and what follows it."""
    found = _SYSTEM.search(text)
    return (text[: found.start()], True, text[found.end() :]) if found else (text, False, "")


def _tagged(text: str, who: str, what: str, emotions: Sequence[str]) -> tuple[str | None, str | None, str | None]:
    """Emotion, words and what is wrong, of `<tag> words`."""
    found = _TAG.match(text.strip())
    words = _plain(text)
    if not found:
        return None, words, f"no tag before the {what}"
    emotion = _EMOTION_OF.get(found.group())
    if emotion not in emotions:
        return None, words, f"{found.group()} is no tag of this model ({who} emotion)"
    rest = text.strip()[found.end() :]
    if _TAG.search(rest) and any(t.group() in _EMOTION_OF for t in _TAG.finditer(rest)):
        return emotion, words, f"a second tag in the {what}"
    return emotion, words, None if words else f"the {what} is empty"


def _plain(text: str) -> str | None:
    """The words without tags, single-spaced; None when there are none."""
    kept = _TAG.sub(lambda found: "" if found.group() in _EMOTION_OF else found.group(), text)
    return " ".join(kept.replace(SYSTEM_LABEL.strip(), " ").split()) or None


def _first(problems: Sequence[str | None]) -> str | None:
    return next((p for p in problems if p), None)
