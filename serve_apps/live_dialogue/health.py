"""Whether every part of the companion answers: a tenth of a second of sound goes through all of them at once."""

import asyncio
import time
from collections.abc import Awaitable

import numpy as np
from pydantic import Field

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question
from rapport.serve_apps.conversation_emotion.answers import SMALL_TALK
from rapport.serve_apps.http.answers import Health
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.waiting import Recent, in_time
from rapport.serve_apps.live_dialogue.graph import Services
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

_KEPT_S = 2.0
_CLIP_S = 0.1
_BRIEFLY = GenerationConfig(constrained=True, max_new_tokens=8)


class GraphHealth(Health):
    """Something went through every part just now."""

    parts: dict[str, float] = Field(examples=[{"emotion": 9.1, "dialogue": 64.0, "voice": 21.5}])
    """How long each took, in milliseconds."""


def health_of(services: Services, settings: LiveSettings) -> Recent[GraphHealth]:
    """How the parts are. Raises ApiError (503) that names a part which does not answer."""

    async def look() -> GraphHealth:
        began_s = time.monotonic()
        work = _work(services, settings)
        took = await asyncio.gather(*(_timed(name, part, settings.requests.request_timeout_s) for name, part in work.items()))
        whole_ms = round(1000 * (time.monotonic() - began_s), 2)
        return GraphHealth(model="companion", latency_ms=whole_ms, parts=dict(zip(work, took, strict=True)))

    return Recent(look, _KEPT_S)


def _work(services: Services, settings: LiveSettings) -> dict[str, Awaitable[object]]:
    """What is asked of each part that is there."""
    there = services.present
    clip = np.random.default_rng(0).normal(0, 0.05, round(_CLIP_S * SAMPLE_RATE_HZ)).astype(np.float32)
    work: dict[str, Awaitable[object]] = {}
    if there.emotion:
        work["emotion"] = services.emotion.analyse(clip, None, None)
    if there.dialogue:
        work["dialogue"] = services.dialogue.reply(Question(clip, replies=False, generation=_BRIEFLY))
    if there.voice:
        work["voice"] = services.dialogue.speak(SpeechOrder("Yes.", settings.dialogue.voice, file_format="pcm"))
    if there.transcriber:
        work["transcriber"] = services.dialogue.transcribe(clip)
    if there.head_motion:
        work["head_motion"] = services.head_motion.motion(clip, None, None)
    if there.conversations:
        work["conversations"] = services.conversations.answer(SMALL_TALK)
    return work


async def _timed(name: str, work: Awaitable[object], timeout_s: float) -> float:
    began_s = time.monotonic()
    try:
        await in_time(work, timeout_s)
    except Exception as error:
        told = error.message if isinstance(error, ApiError) else type(error).__name__
        raise ApiError(503, f"{name} does not answer: {told}", headers={"Retry-After": "1"}) from error
    return round(1000 * (time.monotonic() - began_s), 2)
