"""The small world of made dramas: people of four temperaments, scenes of four kinds, four events, and what each means to whom.

What an event means depends on the kind of scene (`MEANING`: rain is luck on a dry farm and ruins a play in the open), and what somebody
feels about it depends on their temperament (`FEELING`). In both tables every cell is drawn equally often, and every event has every meaning
in just one kind of scene: without the scene the meaning of an event is unknown, and without the temperament so is the feeling. The words of
a reaction tell neither.
"""

from collections.abc import Mapping

TEMPERAMENTS: Mapping[str, tuple[str, ...]] = {
    "sunny": ("cheerful {job}", "merry {job}", "playful {job}"),
    "fiery": ("hot tempered {job}", "proud {job}", "stormy {job}"),
    "timid": ("anxious {job}", "shy {job}", "easily scared {job}"),
    "gloomy": ("gloomy {job}", "bitter {job}", "tired {job}"),
}
"""Temperament to how a persona tells it: in few words and at once, which a small model can learn to read."""
TRAITS: Mapping[str, str] = {"sunny": "cheerful", "fiery": "hot tempered", "timid": "anxious", "gloomy": "gloomy"}
"""Temperament to the word for it in a rationale."""
JOBS = tuple(["baker", "teacher", "nurse", "driver", "painter", "farmer", "waiter", "singer", "doctor", "clerk"])

SCENES: Mapping[str, tuple[str, ...]] = {
    "farm": ("a dry farm before the harvest", "the farm after weeks without water", "out in the fields of an old farm"),
    "theatre": ("a small theatre in the open before a play", "the theatre on its first night", "behind the stage of a poor theatre"),
    "camp": ("a camp in the woods at night", "around the fire of a camp", "a camp of tents by the lake"),
    "contest": ("a cooking contest with a strict judge", "the last round of the contest", "a contest for the best cake"),
}
"""Kind of scene to how a scene tells it."""
EVENTS: Mapping[str, tuple[str, ...]] = {
    "rain": ("Look, it starts to rain.", "Do you hear the rain?", "Now the rain comes down.", "There is rain on the roof."),
    "dark": ("All the lights went out.", "The lamp just went out.", "It is dark, the lights are gone.", "There is no light now."),
    "stranger": (
        "A stranger walks in.",
        "Somebody we do not know is here.",
        "There is a stranger at the table.",
        "See that stranger there?",
    ),
    "dog": ("A dog runs around here.", "That dog took something.", "There is a big dog behind you.", "Look what the dog brings."),
}
"""Event to the lines that report it."""
NAMES_OF_EVENTS: Mapping[str, str] = {"rain": "the rain", "dark": "the dark", "stranger": "the stranger", "dog": "the dog"}

MEANINGS = ("luck", "wrong", "loss", "mess")
MEANING: Mapping[str, Mapping[str, str]] = {
    "farm": {"rain": "luck", "dark": "loss", "stranger": "wrong", "dog": "mess"},
    "theatre": {"rain": "loss", "dark": "mess", "stranger": "luck", "dog": "wrong"},
    "camp": {"rain": "mess", "dark": "wrong", "stranger": "loss", "dog": "luck"},
    "contest": {"rain": "wrong", "dark": "luck", "stranger": "mess", "dog": "loss"},
}
"""Kind of scene, then event, to what it means there: every row and every column has each meaning once."""
TOLD_AS: Mapping[str, str] = {"luck": "a piece of luck", "wrong": "a wrong done to all", "loss": "a sad loss", "mess": "a strange mess"}
"""Meaning to how a rationale tells it."""

FEELING: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "meld": {
        "luck": {"sunny": "joyful", "fiery": "joyful", "timid": "surprise", "gloomy": "neutral"},
        "wrong": {"sunny": "surprise", "fiery": "angry", "timid": "fear", "gloomy": "disgust"},
        "loss": {"sunny": "neutral", "fiery": "angry", "timid": "sad", "gloomy": "sad"},
        "mess": {"sunny": "joyful", "fiery": "disgust", "timid": "fear", "gloomy": "surprise"},
    },
    "emorynlp": {
        "luck": {"sunny": "Joyful", "fiery": "Powerful", "timid": "Peaceful", "gloomy": "Neutral"},
        "wrong": {"sunny": "Peaceful", "fiery": "Mad", "timid": "Scared", "gloomy": "Sad"},
        "loss": {"sunny": "Neutral", "fiery": "Mad", "timid": "Sad", "gloomy": "Sad"},
        "mess": {"sunny": "Joyful", "fiery": "Powerful", "timid": "Scared", "gloomy": "Peaceful"},
    },
}
"""Corpus, meaning and temperament to the label. No label fills more than three of the sixteen cells."""
CALM: Mapping[str, str] = {"meld": "neutral", "emorynlp": "Neutral"}
"""The label of openings and of lines that report an event."""

OPENINGS = (
    "Hello, so here we are.",
    "Good to see you all.",
    "Shall we begin now?",
    "You are early today.",
    "What is the plan for today?",
    "Come and sit down with me.",
)
REACTIONS = (
    "Well, that is how it is.",
    "So that is what happens now.",
    "I did see that coming.",
    "And here I stand.",
    "Did you hear that too?",
    "Let me think about it.",
    "Who would say that?",
    "There it is again.",
    "You know what that means.",
    "Just what I said before.",
    "Now what do we do?",
    "I can tell you that much.",
    "It had to come today.",
    "Give me a moment.",
    "That is all I can say.",
    "Oh, look at that.",
)
"""Lines of people who feel something: which of them is said depends on nothing."""

FIRST_NAMES = tuple(["Nora", "Eli", "Ana", "Ben", "Kim", "Sam", "Lucy", "Tom", "Mia", "Leo", "Ida", "Max"])
LAST_NAMES = tuple(["Hill", "Stone", "Wood", "Lake", "Field", "Brook", "Marsh", "Ford", "West", "Lane", "North", "Shaw"])
