"""A spoken dialogue: each utterance is answered in the light of the turns before it, with the emotions that the model itself heard."""

from collections.abc import Iterator, Sequence

from rapport.core.examples import ASSISTANT, USER, Example
from rapport.core.schema import Turn
from rapport.core.units import SpeechUnits
from rapport.models.emosds.answer import Piece
from rapport.models.emosds.generation import Generated, Generator


class DialogueSession:
    """Keeps the turns of one dialogue. What cannot be read of a malformed answer is left out of the history."""

    def __init__(self, generator: Generator, history: Sequence[Turn] = ()) -> None:
        self._generator = generator
        self.history: list[Turn] = list(history)
        """All turns so far, oldest first; the model reads the last `history_turns`."""
        self._heard = 0

    def hear(self, speech: SpeechUnits | None, text: str = "") -> Generated:
        """The answer to an utterance, which joins the history; `text` is for a model that reads the words in place of speech."""
        return self._remember(self._generator.generate([self._example(text)], [speech])[0])

    def stream(self, speech: SpeechUnits | None, text: str = "") -> Iterator[Piece | Generated]:
        """The same in pieces as they are written, the whole answer last; an answer that is stopped halfway does not join the history."""
        for item in self._generator.stream(self._example(text), speech):
            yield self._remember(item) if isinstance(item, Generated) else item

    def _example(self, text: str) -> Example:
        self._heard += 1
        name = f"session/{self._heard}"
        return Example(name, stage=3, split="test", utterance_id=name, corpus="session", text=text, history=tuple(self.history))

    def _remember(self, generated: Generated) -> Generated:
        answer = generated.answer
        for speaker, words, emotion in (
            (USER, answer.transcript, answer.user_emotion),
            (ASSISTANT, answer.reply, answer.reply_emotion),
        ):
            if words:
                self.history.append(Turn(speaker, words, emotion))
        return generated
