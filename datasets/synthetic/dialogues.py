"""Made dialogues in the form of EmoSC: the same sentence in two emotions, and a reply to each that fits it.

The reply depends on the user's emotion and on the topic of the words, and takes up the thing that was named: it can be learned from the
speech, and from nothing else, because history and words are the same in both variants.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from rapport.core.errors import RapportError
from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.datasets.dialogues.emosc import Scenario
from rapport.datasets.synthetic.seeds import generator
from rapport.datasets.synthetic.sentences import THINGS, thing_of

# The user's emotion, then the topic, to the emotion of the reply and its words.
REPLIES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "neutral": {
        "food": ("neutral", "Fine, I will put the {thing} on the list."),
        "furniture": ("neutral", "All right, the {thing} will go to the right room."),
        "clothes": ("neutral", "Good to know, I will make a note about the {thing}."),
        "travel": ("neutral", "Understood, shall I look up the {thing} for you?"),
        "office": ("neutral", "Okay, I will file that under {thing}."),
        "garden": ("neutral", "I see, what comes after the {thing}?"),
    },
    "happy": {
        "food": ("happy", "How lovely, enjoy the {thing}!"),
        "furniture": ("happy", "Wonderful, the {thing} will look great!"),
        "clothes": ("happy", "That suits you, I love the {thing}!"),
        "travel": ("surprised", "Wow, the {thing} already, when do you leave?"),
        "office": ("happy", "Great news, so the {thing} worked out!"),
        "garden": ("happy", "Nice, I am glad about the {thing}!"),
    },
    "sad": {
        "food": ("sad", "I am sorry, the {thing} meant a lot to you."),
        "furniture": ("sad", "That is a pity, I know you miss the {thing}."),
        "clothes": ("neutral", "Take your time, we can talk about the {thing} later."),
        "travel": ("sad", "Oh dear, so much went wrong with the {thing}."),
        "office": ("neutral", "Shall I take care of the {thing} for you today?"),
        "garden": ("sad", "I feel for you, it was a fine time with the {thing}."),
    },
    "angry": {
        "food": ("neutral", "I understand, let me replace the {thing} at once."),
        "furniture": ("neutral", "Let us stay calm and sort out the {thing} together."),
        "clothes": ("sad", "You are right to be upset, I am sorry about the {thing}."),
        "travel": ("neutral", "I hear you, I will complain about the {thing} right now."),
        "office": ("sad", "That should not happen, I apologize for the {thing}."),
        "garden": ("neutral", "Breathe for a moment, then we fix the {thing}."),
    },
    "surprised": {
        "food": ("surprised", "Really, I did not expect the {thing} either!"),
        "furniture": ("happy", "Yes, the {thing} was meant to surprise you!"),
        "clothes": ("surprised", "No way, who would have thought of the {thing}?"),
        "travel": ("surprised", "Seriously, how did the {thing} get there?"),
        "office": ("neutral", "It is true, I checked the {thing} twice."),
        "garden": ("happy", "Isn't it amazing what a {thing} can do!"),
    },
}

_OPENINGS = {
    "neutral": ("Hello, what is new about the {topic}?", "Shall we talk about the {topic} now?"),
    "happy": ("It is good to hear you, how are things with the {topic}?", "Hi there, I was looking forward to the {topic}!"),
}
_ANSWERS = {
    "neutral": ("Give me a moment.", "There is something to tell."),
    "happy": ("Yes, with pleasure.", "I was hoping you would ask."),
    "sad": ("It was a long day.", "I would rather not, but fine."),
    "angry": ("Not again, but listen.", "You keep asking me that."),
    "surprised": ("Oh, you remembered?", "Already?"),
}
_PROMPTS = {
    "neutral": ("Go on, I am listening.", "Tell me what happened."),
    "happy": ("Great, tell me everything!", "Lovely, I am all ears!"),
    "sad": ("I am sorry, tell me anyway.", "Take your time."),
}
_TOPICS = {
    "food": "shopping",
    "furniture": "house",
    "clothes": "wardrobe",
    "travel": "trip",
    "office": "paperwork",
    "garden": "yard",
}


def make_dialogues(spoken: Mapping[str, Sequence[str]], seed: int) -> list[Scenario]:
    """One scenario for each sentence and emotion in which it is spoken, the second variant in another of its emotions, evenly drawn.

    `spoken` maps a sentence of the grammar to the emotions in which there are recordings of it; a sentence with one emotion is left out.
    Raises RapportError for a sentence that is not of the grammar.
    """
    scenarios: list[Scenario] = []
    for text, emotions in spoken.items():
        if len(emotions) < 2:
            continue
        rng = generator(seed, "dialogues", text)
        # Each emotion is the second variant as often as it is the first: the partner is the next in a shuffled ring.
        ring = [emotions[i] for i in rng.permutation(len(emotions))]
        for first, second in zip(ring, ring[1:] + ring[:1], strict=True):
            scenarios.append(_scenario(len(scenarios), text, (first, second), rng))
    return scenarios


def reply_to(text: str, emotion: str) -> Turn:
    """The reply to a sentence of the grammar in an emotion.

    Raises RapportError for a sentence that is not of the grammar, and for an emotion without replies.
    """
    named = thing_of(text)
    if named is None or emotion not in REPLIES:
        raise RapportError(f"no reply to {text!r} in emotion {emotion!r}: wanted a sentence of the grammar in {', '.join(REPLIES)}")
    thing, topic = named
    reply_emotion, words = REPLIES[emotion][topic]
    return Turn(ASSISTANT, words.format(thing=thing), reply_emotion)


def _scenario(number: int, text: str, emotions: tuple[str, str], rng: np.random.Generator) -> Scenario:
    named = thing_of(text)
    topic = _TOPICS[named[1] if named else next(iter(THINGS))]
    history = (
        _say(ASSISTANT, _OPENINGS, topic, rng),
        _say(USER, _ANSWERS, topic, rng),
        _say(ASSISTANT, _PROMPTS, topic, rng),
    )
    first, second = emotions
    current = (Turn(USER, f"{text}.", first), Turn(USER, f"{text}.", second))
    return Scenario(number, history, current, (reply_to(text, first), reply_to(text, second)))


def _say(speaker: str, lines: Mapping[str, tuple[str, ...]], topic: str, rng: np.random.Generator) -> Turn:
    emotion = list(lines)[rng.integers(len(lines))]
    return Turn(speaker, lines[emotion][rng.integers(len(lines[emotion]))].format(topic=topic), emotion)
