"""Who speaks replies: an engine, the names by which clients may call its voices, and files of speech with an emotion."""

from collections.abc import Mapping
from dataclasses import dataclass

from rapport.core.errors import RapportError
from rapport.core.sound_files import FileFormat, encode_file
from rapport.core.speech import Synthesizer, Voice, prosody_of

# The names that stock clients send, so that their examples work as they stand; which of the engine's voices each means is by order.
OPENAI_VOICES: Mapping[str, tuple[str, ...]] = {
    "female": ("alloy", "coral", "nova", "sage", "shimmer", "marin"),
    "male": ("echo", "onyx", "ash", "ballad", "fable", "verse", "cedar"),
}


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """What is to be spoken, and how."""

    text: str
    voice: str
    emotion: str = "neutral"
    """Canonical."""
    strength: float = 1.0
    """How strongly the emotion is acted, 0 to 1.5."""
    speed: float = 1.0
    """Tempo, as a multiple."""
    file_format: FileFormat = "wav"


def voice_names(voices: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Every name that a client may say to the engine's voice that it means: OpenAI's names, then the engine's own."""
    names = {}
    for gender, known in OPENAI_VOICES.items():
        own = voices.get(gender) or tuple(name for group in voices.values() for name in group)
        names.update({name: own[number % len(own)] for number, name in enumerate(known)})
    return names | {name: name for group in voices.values() for name in group}


class Speaker:
    """Speaks orders with one engine. Not thread-safe: calls take turns."""

    def __init__(self, engine: Synthesizer) -> None:
        self._engine = engine
        self.names = voice_names(engine.voices)

    def speak(self, order: SpeechOrder) -> bytes:
        """A file of the ordered speech. Raises RapportError for an unknown voice, or a text that the engine cannot speak."""
        if order.voice not in self.names:
            raise RapportError(f"there is no voice {order.voice[:100]!r}: there are {', '.join(self.names)}")
        voice = Voice(self.names[order.voice], tempo=order.speed)
        samples, rate_hz = self._engine.speak(order.text, voice, prosody_of(order.emotion, order.strength))
        return encode_file(samples, rate_hz, order.file_format)
