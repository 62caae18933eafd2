"""The canonical emotion vocabulary, shared by every corpus, model and endpoint.

The first eight are the label space of speech emotion recognition, in the order of RAVDESS; the rest occur in one corpus each
(EMO-DB, IEMOCAP, EmoryNLP). Order is part of the contract: append, never insert. Each corpus maps its raw labels in
`datasets/cards/<corpus>.yaml`; a model stores the ordered subset that it predicts.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from rapport.core.errors import RapportError

EMOTIONS: tuple[str, ...] = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
    "bored",
    "excited",
    "frustrated",
    "peaceful",
    "powerful",
)
SER_EMOTIONS: tuple[str, ...] = EMOTIONS[:8]

# One colour an emotion in every plot and page (Okabe-Ito first, so that the common ones survive colour blindness).
EMOTION_COLOURS: Mapping[str, str] = {
    "neutral": "#7f7f7f",
    "calm": "#56b4e9",
    "happy": "#e6b800",
    "sad": "#0072b2",
    "angry": "#d55e00",
    "fearful": "#9467bd",
    "disgust": "#009e73",
    "surprised": "#cc79a7",
    "bored": "#8c564b",
    "excited": "#ff9f1c",
    "frustrated": "#a63d40",
    "peaceful": "#7fc8a9",
    "powerful": "#2b2d42",
}


def check_emotion(name: str) -> str:
    """`name`, if it is in the vocabulary.

    Raises RapportError naming the nearest emotion otherwise.
    """
    if name in EMOTIONS:
        return name
    near = get_close_matches(name.lower(), EMOTIONS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise RapportError(f"emotion {name!r} is not in the vocabulary {', '.join(EMOTIONS)}{hint}")


def strongest(scores: Mapping[str, float]) -> str:
    """The emotion with the highest score; of equals, the first."""
    return max(scores, key=scores.__getitem__)


def in_vocabulary_order(emotions: Iterable[str]) -> tuple[str, ...]:
    """The distinct emotions, checked, in the fixed order of `EMOTIONS`."""
    return tuple(sorted({check_emotion(e) for e in emotions}, key=EMOTIONS.index))
