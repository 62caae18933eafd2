"""The two routes that an earlier speech emotion service documented, in the shapes it gave them."""

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from pydantic import Field

from rapport.core.emotions import SER_EMOTIONS
from rapport.serve_apps.http.answers import Answer
from rapport.serve_apps.speech_emotion.answers import EmotionAnswer
from rapport.serve_apps.speech_emotion.api import EmotionRequests

_RECORDING = File(description="The recording.")


class Inference(Answer):
    """Answer of POST /inference."""

    text: str
    """The words; empty where the server has no transcriber."""
    emotion: str = Field(examples=["Happy"])
    emotion_probs: list[float] = Field(description=f"Probabilities, in the order {', '.join(SER_EMOTIONS)}.")


class Analyzed(Answer):
    """Answer of POST /analyze."""

    transcription: str
    """The words; empty where the server has no transcriber."""
    predicted_emotion: str = Field(examples=["Happy"])
    emotion_scores: dict[str, float]


def add_compatibility_routes(api: APIRouter, work: EmotionRequests, errors: dict[int | str, dict[str, Any]]) -> None:
    """Add POST /inference and POST /analyze."""

    async def whole(upload: UploadFile, param: str) -> EmotionAnswer:
        return await work.answer(upload, param=param, window_s=None, hop_s=None, timeline=False, transcribe=None)

    @api.post("/inference", response_model=Inference, responses=errors, tags=["compatibility"], summary="Field `audio`")
    async def inference(audio: Annotated[UploadFile, _RECORDING]) -> Inference:
        """The words, the emotion, and its probabilities as a list."""
        answer = await whole(audio, "audio")
        listed = [round(answer.scores.get(emotion, 0.0), 4) for emotion in SER_EMOTIONS]
        return Inference(text=answer.text or "", emotion=answer.emotion.capitalize(), emotion_probs=listed)

    @api.post("/analyze", response_model=Analyzed, responses=errors, tags=["compatibility"], summary="Field `file`")
    async def analyze(file: Annotated[UploadFile, _RECORDING]) -> Analyzed:
        """The words, the emotion, and its probabilities by name."""
        answer = await whole(file, "file")
        named = {emotion.capitalize(): round(score, 4) for emotion, score in answer.scores.items()}
        return Analyzed(transcription=answer.text or "", predicted_emotion=answer.emotion.capitalize(), emotion_scores=named)
