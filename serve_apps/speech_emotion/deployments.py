"""What the speech emotion app deploys: the HTTP front and the model. `serve_apps/ser.py` sizes them."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.serve_apps.http.queues import queued
from rapport.serve_apps.speech_emotion.answers import Analysis, ModelFacts, WindowScores
from rapport.serve_apps.speech_emotion.batches import LengthBatches, Scores
from rapport.serve_apps.speech_emotion.settings import EmotionSettings


class EmotionModel:
    """The classifier on one device. Its own thread computes, so that the event loop stays free to gather the next batch."""

    def __init__(self, model: str, device: str, batching: Mapping[str, Any]) -> None:
        from rapport.models.find import find_model, saved_at
        from rapport.models.ser.inference import Predictor

        folder = find_model(model, "ser")
        self._predictor = Predictor.from_pretrained(folder, device=device)
        self._facts = ModelFacts(self._predictor.emotions, self._predictor.window_s, saved_at(folder))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        # A recording of minutes is many windows in one call: on a thread of its own it does not hold up clips of seconds.
        self._long_thread = ThreadPoolExecutor(1, thread_name_prefix="model-long")
        self._batches = LengthBatches(self._predict, **batching)
        # The first call is slow (kernels are chosen): not at the cost of the first client.
        self._predictor.predict([np.full(round(self._predictor.window_s * SAMPLE_RATE_HZ), 1e-3, np.float32)])

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Analysis:
        """As `EmotionService.analyse`."""
        from rapport.models.ser.inference import windows

        samples = np.array(samples)  # what came through Ray is read-only, which torch warns of
        if window_s is None or hop_s is None:
            return Analysis(await self._batches.scores(samples), [])
        spans = windows(len(samples), window_s, hop_s)
        if len(spans) == 1:  # the window is the clip
            scores = await self._batches.scores(samples)
            return Analysis(scores, [WindowScores(0.0, len(samples) / SAMPLE_RATE_HZ, scores)])
        whole, parts = await asyncio.gather(
            self._batches.scores(samples), self._batches.scores_of_all([samples[first:end] for first, end in spans])
        )
        found = [WindowScores(a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ, scores) for (a, b), scores in zip(spans, parts, strict=True)]
        return Analysis(whole, found)

    async def facts(self) -> ModelFacts:
        """As `EmotionService.facts`."""
        return self._facts

    async def _predict(self, clips: list[np.ndarray]) -> Sequence[Scores]:
        thread = self._thread if self._batches.are_short(clips) else self._long_thread
        predictions = await asyncio.get_running_loop().run_in_executor(thread, self._predictor.predict, clips)
        return [prediction.scores for prediction in predictions]


class DeployedService:
    """An `EmotionService` whose parts are deployments; a full queue becomes 429."""

    def __init__(self, model: DeploymentHandle, transcriber: DeploymentHandle | None) -> None:
        self._model = model
        self._transcriber = transcriber

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Analysis:
        """As `EmotionService.analyse`."""
        return await queued(self._model.analyse.remote(samples, window_s, hop_s))

    async def transcribe(self, samples: np.ndarray) -> str:
        """As `EmotionService.transcribe`."""
        assert self._transcriber is not None
        return await queued(self._transcriber.transcribe.remote(samples))

    async def facts(self) -> ModelFacts:
        """As `EmotionService.facts`."""
        return await queued(self._model.facts.remote())


@serve.ingress()
class EmotionIngress:
    """The HTTP front: form, decode, limits, pages."""

    def __init__(
        self, model: DeploymentHandle, transcriber: DeploymentHandle | None, settings: Mapping[str, Any], key_digest: str | None
    ) -> None:
        self._service = DeployedService(model, transcriber)
        self._transcribes = transcriber is not None
        self._settings = EmotionSettings.model_validate(settings)
        self._key_digest = key_digest

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.speech_emotion.api import build_api

        return build_api(self._service, self._settings, key_digest=self._key_digest, transcribes=self._transcribes)
