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
from rapport.core.emotions import check_emotion
from rapport.core.errors import RapportError
from rapport.models.units.sequence import BEGIN, END

# Published names of the five; every other emotion is its own tag.
_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "surprised": "surprise"}

TAGS: Mapping[str, str] = MappingProxyType({emotion: f"<{_NAMES.get(emotion, emotion)}>" for emotion in VOCABULARY})
"""Canonical emotion to the tag that stands for it in text."""

EMOTIONS: tuple[str, ...] = ("angry", "happy", "neutral", "sad", "surprised")
"""The five of the published system, in the order of their tags, which is the order of its classes."""

USER_LABEL, SYSTEM_LABEL = "user: ", "EmoSDS: "
"""What a line of dialogue begins with; the trailing space belongs to it."""

RESIDUAL = "<residual>"
"""The slot for a residual."""

_EMOTION_OF = {tag: emotion for emotion, tag in TAGS.items()}
_TAG = re.compile(r"<([a-z]+)>")
_SYSTEM = re.compile(rf"\s*{re.escape(SYSTEM_LABEL.strip())}\s*")
# What is never among words: in scores that normalise, it would go unseen.
_MARK = re.compile("|".join([r"<\d+>", *map(re.escape, (BEGIN, END, RESIDUAL, *_EMOTION_OF, USER_LABEL.strip(), SYSTEM_LABEL.strip()))]))


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


def emotion_named(name: str) -> str:
    """The canonical emotion of a name or a tag, in any case.

    Raises RapportError for one that is not in the vocabulary.
    """
    name = name.strip().lower()
    return _EMOTION_OF.get(f"<{name.strip('<>')}>") or check_emotion(name[:100])


def split_tag(text: str) -> tuple[str | None, str]:
    """The emotion of a tag that begins the text, if one does, and the rest."""
    text = text.strip()
    tag = next((tag for tag in _EMOTION_OF if text.startswith(tag)), None)
    return (_EMOTION_OF[tag], text.removeprefix(tag).strip()) if tag else (None, text)


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

    Spaces may be missing or doubled. `emotions` are those that the model may name; another tag counts as malformed, and so does a unit, a
    slot, a tag or a label among the words.
    """
    text = text.strip()
    if stage == 1:
        words = _plain(text)
        return Answer(transcript=words, malformed=_marked(text, "transcript") or (None if words else "nothing was transcribed"))
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
    wrong = _marked(text.strip()[found.end() :], what)
    return emotion, words, wrong or (None if words else f"the {what} is empty")


def _marked(text: str, what: str) -> str | None:
    """What is wrong with words that hold a mark of the system; None when they hold none."""
    found = _MARK.search(text)
    if not found:
        return None
    # Reasons are counted: units and tags are not told apart.
    mark = found.group()
    kind = "a unit" if mark[1].isdigit() else "a tag" if mark in _EMOTION_OF else repr(mark)
    return f"{kind} among the words of the {what}"


def _plain(text: str) -> str | None:
    """The words without tags, single-spaced; None when there are none."""
    kept = _TAG.sub(lambda found: "" if found.group() in _EMOTION_OF else found.group(), text)
    return " ".join(kept.replace(SYSTEM_LABEL.strip(), " ").split()) or None


def _first(problems: Sequence[str | None]) -> str | None:
    return next((p for p in problems if p), None)
