"""What the companion deploys besides the deployments of the other apps: its front. `serve_apps/companion.py` sizes all of them."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.serve_apps.conversation_emotion.deployments import DeployedService as DeployedConversations
from rapport.serve_apps.http.queues import queued
from rapport.serve_apps.live_dialogue.absent import Absent
from rapport.serve_apps.live_dialogue.graph import Present, Recordings, Services
from rapport.serve_apps.live_dialogue.heads import Head
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from rapport.serve_apps.live_dialogue.steady import Steady
from rapport.serve_apps.speech_emotion.deployments import DeployedService as DeployedEmotion
from rapport.serve_apps.spoken_dialogue.deployments import DeployedService as DeployedDialogue

_MISSING = {
    "emotion": ("speech emotion model", "emotion", "train_ser"),
    "dialogue": ("dialogue model", "dialogue", "train_emosds"),
    "head_motion": ("head motion model", "head-motion", "train_listener"),
    "conversations": ("model for conversations", "conversations", "train_coe"),
}


@serve.ingress()
class Companion:
    """The front: requests, sessions, decoding, limits, pages. Of the parts, any may be None."""

    def __init__(
        self,
        emotion: DeploymentHandle | None,
        dialogue: DeploymentHandle | None,
        voice: DeploymentHandle | None,
        transcriber: DeploymentHandle | None,
        heads: DeploymentHandle | None,
        conversations: DeploymentHandle | None,
        settings: Mapping[str, Any],
        key_digest: str | None,
    ) -> None:
        self._settings = LiveSettings.model_validate(settings)
        self._key_digest = key_digest
        parts = {"emotion": emotion, "dialogue": dialogue, "voice": voice, "transcriber": transcriber}
        parts |= {"head_motion": heads, "conversations": conversations}
        self._services = deployed(parts)

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.live_dialogue.api import build_api
        from rapport.serve_apps.live_dialogue.meters import FrontMeter

        return build_api(self._services, self._settings, key_digest=self._key_digest, meter=FrontMeter())


def deployed(parts: Mapping[str, DeploymentHandle | None]) -> Services:
    """The services of deployments, by the names of `Present`; None is a part that is not there."""
    there: dict[str, Any] = {name: _absent(name) if handle is None else _called(name, handle) for name, handle in parts.items()}

    async def ask(method: str, *arguments: Any) -> Any:
        return await queued(getattr(there["head_motion"], method).remote(*arguments))

    async def open_head(rate_hz: float | None, seed: int | None) -> Head:
        return await Head.open(there["head_motion"], rate_hz, seed)

    return Services(
        emotion=DeployedEmotion(there["emotion"], there["transcriber"]),
        dialogue=DeployedDialogue(there["dialogue"], there["voice"], there["transcriber"]),
        head_motion=Recordings(ask),
        conversations=DeployedConversations(there["conversations"]),
        open_head=open_head,
        present=Present(**{name: handle is not None for name, handle in parts.items()}),
    )


def _called(name: str, handle: DeploymentHandle) -> Any:
    # A head that follows a voice begins afresh by itself, from where its voice is.
    return handle if name == "head_motion" else Steady(handle)


def _absent(name: str) -> Absent:
    if name in _MISSING:
        what, flag, job = _MISSING[name]
        return Absent(what, f"train one with `python -m rapport.ray_jobs.{job}`, or name its folder with --{flag}.model")
    return Absent(name, f"name one with --{name}.engine")
