"""What the head motion app deploys. `serve_apps/head_motion.py` sizes it."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve

from rapport.serve_apps.listener.settings import MotionSettings


@serve.ingress()
class HeadMotion:
    """Front and model in one: what a client streams is moved where it arrives, and pays for one hop a piece instead of two."""

    def __init__(self, model: str, settings: Mapping[str, Any], key_digest: str | None) -> None:
        from rapport.models.find import find_model
        from rapport.serve_apps.listener.engine import MotionEngine
        from rapport.serve_apps.listener.meters import meter

        self._settings = MotionSettings.model_validate(settings)
        self._key_digest = key_digest
        self._engine = MotionEngine(find_model(model, "listener"), self._settings.stream, meter())
        self._engine.warm_up()

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.listener.api import build_api

        return build_api(self._engine, self._settings, key_digest=self._key_digest)
