"""Recordings written down: in pieces, in the shapes that OpenAI's clients ask for."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from starlette.responses import PlainTextResponse, Response

from rapport.core.audio import SAMPLE_RATE_HZ, Speech
from rapport.models.emosds.dialogue import Question
from rapport.serve_apps.http.transcriber import pieces
from rapport.serve_apps.spoken_dialogue.answers import DialogueService, Segment, Transcription, VerboseTranscription
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings

Shape = Literal["json", "text", "verbose_json", "srt", "vtt"]
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Transcriptions:
    """Writes recordings down with a service."""

    service: DialogueService
    settings: DialogueSettings

    async def segments(self, speech: Speech, *, with_model: bool) -> list[Segment]:
        """The stretches of a recording, by the dialogue model with their emotions, or by the transcriber."""
        places = asyncio.Semaphore(_AT_ONCE)  # a long recording leaves room for others

        async def write(number: int, first: int, end: int) -> Segment:
            samples = speech.samples[first:end]
            async with places:
                if with_model:
                    answer = (await self.service.reply(Question(samples, replies=False))).answer
                    text, emotion = answer.transcript or "", answer.user_emotion
                else:
                    text, emotion = await self.service.transcribe(samples), None
            start_s, end_s = round(first / SAMPLE_RATE_HZ, 3), round(end / SAMPLE_RATE_HZ, 3)
            return Segment(id=number, start=start_s, end=end_s, text=text, x_emotion=emotion)

        stretches = pieces(speech.samples, self.settings.piece_s)
        return list(await asyncio.gather(*(write(number, *stretch) for number, stretch in enumerate(stretches))))


def shaped(segments: list[Segment], duration_s: float, language: str, shape: Shape) -> Transcription | Response:
    """The segments as the answer that was asked for."""
    text = " ".join(segment.text for segment in segments if segment.text)
    emotion = _longest(segments)
    if shape == "json":
        return Transcription(text=text, x_emotion=emotion)
    if shape == "verbose_json":
        duration = round(duration_s, 3)
        return VerboseTranscription(text=text, x_emotion=emotion, duration=duration, language=language, segments=segments)
    written = {"text": f"{text}\n", "srt": _cues(segments, ","), "vtt": "WEBVTT\n\n" + _cues(segments, ".")}[shape]
    return PlainTextResponse(written)


def _longest(segments: list[Segment]) -> str | None:
    """The emotion that lasts longest."""
    lasting: dict[str, float] = {}
    for segment in segments:
        if segment.x_emotion:
            lasting[segment.x_emotion] = lasting.get(segment.x_emotion, 0.0) + segment.end - segment.start
    return max(lasting, key=lasting.__getitem__, default=None)


def _cues(segments: list[Segment], point: str) -> str:
    def clock(seconds: float) -> str:
        ms = round(1000 * seconds)
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"

    return "".join(f"{s.id + 1}\n{clock(s.start)} --> {clock(s.end)}\n{s.text}\n\n" for s in segments)
