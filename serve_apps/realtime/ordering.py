"""What reply a client asks for: which message it answers, in which voice, how long, and whether this server can."""

from typing import Literal

import numpy as np

from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question
from rapport.serve_apps.realtime.answering import Order
from rapport.serve_apps.realtime.client_events import ResponseOptions
from rapport.serve_apps.realtime.conversation import Conversation, Item
from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.latencies import TurnClock
from rapport.serve_apps.realtime.parts import Facts
from rapport.serve_apps.realtime.session_config import RATE_HZ, SessionConfig
from rapport.serve_apps.realtime.settings import RealtimeSettings

_SHORTEST_ANSWER = 16  # an answer of fewer tokens could not hold its four fields


SHORTEST_SPEECH = RATE_HZ // 5
"""Bytes of a message that counts as speech: 0.1 s."""


def is_spoken(item: Item) -> bool:
    """Whether a message holds speech of 0.1 s or more."""
    return len(item.pcm) >= SHORTEST_SPEECH


class Ordering:
    """Makes orders for one conversation."""

    def __init__(self, facts: Facts, settings: RealtimeSettings, conversation: Conversation) -> None:
        self._facts, self._settings, self._conversation = facts, settings, conversation

    def check(self, config: SessionConfig) -> None:
        """Nothing, if this server can do what these settings want. Raises ProtocolError otherwise."""
        self._check_output("audio" in config.output_modalities, config.audio.output.voice, "session")

    def asked(self) -> Item:
        """The message that is to be answered. Raises ProtocolError when there is none that can be."""
        if not self._facts.replies:
            lack = "hears and does not reply" if self._facts.dialogue else "is not there"
            message = f"nobody answers here: the dialogue model {lack}; serve one of stage 3 with --dialogue.model"
            raise ProtocolError(message, code="model_does_not_reply")
        item = self._conversation.last_of("user")
        if item is None:
            raise ProtocolError("the model answers the last message of the user: there is none", code="no_speech")
        if not is_spoken(item):
            self._check_readable(item)
        return item

    def order(
        self,
        item: Item,
        samples: np.ndarray,
        options: ResponseOptions,
        config: SessionConfig,
        clock: TurnClock,
        heard_ms: tuple[int, int],
        *,
        transcribes: bool,
    ) -> Order:
        """The order of an answer to speech [S], 16 kHz. Raises ProtocolError for what this server cannot do."""
        speaks = "audio" in (options.output_modalities or config.output_modalities)
        voice = options.audio.output.voice or config.audio.output.voice
        self._check_output(speaks, voice, "response")
        most = config.max_output_tokens if options.max_output_tokens is None else options.max_output_tokens
        return Order(
            item=item,
            question=self.question(item, samples, most),
            speaks=speaks,
            voice=voice,
            speed=config.audio.output.speed,
            strength=self._settings.emotion_strength,
            timeout_s=self._settings.answer_timeout_s,
            clock=clock,
            heard_ms=heard_ms,
            transcribes=transcribes,
            typed="" if is_spoken(item) else item.words,
            in_conversation=options.conversation == "auto",
            max_output_tokens=most,
            metadata=options.metadata or {},
        )

    def question(self, item: Item | None, samples: np.ndarray, most: int | Literal["inf"]) -> Question:
        """What the model is asked about speech [S], 16 kHz, with at most so many tokens; None is a message that is yet to come."""
        assert self._facts.dialogue is not None
        tokens = self._settings.max_answer_tokens if most == "inf" else min(self._settings.max_answer_tokens, most)
        generation = GenerationConfig(constrained=True, max_new_tokens=max(_SHORTEST_ANSWER, tokens))
        return Question(samples, self._conversation.history(item, self._facts.dialogue.history_turns), generation=generation)

    def _check_readable(self, item: Item) -> None:
        """Nothing, if a voice can read the words of a message to the model, which only hears."""
        most, long = self._settings.max_typed_characters, len(item.words)
        if not long or not self._facts.voices:
            lack = "no voice that could read it" if long else "neither words nor a recording of 0.1 s or more"
            raise ProtocolError(f"the model only hears, and item {item.id[:100]!r} has {lack}: say it in speech", code="no_speech")
        if long > most:
            message = f"item {item.id[:100]!r} has {long:,} characters, the limit is {most:,} (max_typed_characters)"
            raise ProtocolError(message, code="text_too_long")

    def _check_output(self, speaks: bool, voice: str, where: str) -> None:
        if not speaks:
            return
        voices = self._facts.voices
        if not voices:
            raise ProtocolError('this server has no voice: set output_modalities to ["text"]', param=f"{where}.output_modalities")
        if voice not in voices:
            message = f"there is no voice {voice!r}: there are {', '.join(voices)}"
            raise ProtocolError(message, code="voice_not_found", param=f"{where}.audio.output.voice")
