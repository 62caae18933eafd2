"""The model in this process, for recordings and for streams."""

import asyncio
import gc
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_time_s
from rapport.core.pose import PoseFrame
from rapport.models.find import saved_at
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import from_pretrained
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.listener.answers import ModelFacts
from rapport.serve_apps.listener.messages import Start
from rapport.serve_apps.listener.pool import Meter, SessionPool
from rapport.serve_apps.listener.rates import INPUT_RATES_HZ, PosesAt
from rapport.serve_apps.listener.sessions import Mover
from rapport.serve_apps.listener.settings import StreamSettings

_DIGITS_BYTES = 4096  # by which a token may grow with the numbers in it, and what is around it in a message


class MotionEngine:
    """A `MotionService`. Recordings are computed on a thread of their own, so that streams do not wait for them."""

    def __init__(self, folder: str, settings: StreamSettings, meter: Meter | None = None) -> None:
        """Raises RapportError when there is no such model, or its resume tokens are longer than a message may be."""
        self.model = from_pretrained(folder)
        self._facts = _facts_of(self.model, saved_at(folder))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._pool = None
        if self._facts.streams:
            _check_tokens(self.model, settings)
            self._pool = SessionPool(self.model, settings, meter=meter)

    def warm_up(self) -> None:
        """Make this process ready for its first client; for one that does nothing else."""
        torch.set_num_threads(1)  # products this small gain nothing by a second thread, and lose by waiting for it
        self.model.predict(np.full(SAMPLE_RATE_HZ, 1e-3, np.float32))
        # What is loaded by now stays: to look it through for garbage again and again would hold up every stream.
        gc.collect()
        gc.freeze()

    async def motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        """As `MotionService.motion`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._motion, samples, rate_hz, seed)

    async def facts(self) -> ModelFacts:
        """As `MotionService.facts`."""
        return self._facts

    def sessions(self) -> SessionPool:
        """As `MotionService.sessions`."""
        if self._pool is None:
            kinds = f"front_end.kind {self.model.config.front_end.kind}, network.kind {self.model.config.network.kind}"
            raise ApiError(400, f"this model needs the whole recording ({kinds}): post it instead", code="model_does_not_stream")
        return self._pool

    def _motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        own_hz = self.model.config.front_end.frame_rate_hz
        try:
            degrees = self.model.predict(samples, seed)
        except RapportError as error:
            raise ApiError(400, str(error), code="cannot_predict") from error
        poses = [PoseFrame(frame_time_s(frame, own_hz), *angles) for frame, angles in enumerate(degrees.tolist())]
        return PosesAt(rate_hz or own_hz).push(poses)


def _check_tokens(model: HeadMotionModel, settings: StreamSettings) -> None:
    """Raises RapportError where the server would not take back the tokens that it gives."""
    mover = Mover(model, Start(type="start", sample_rate_hz=max(INPUT_RATES_HZ)))
    size_mib = (len(mover.token()) + _DIGITS_BYTES) / 2**20
    if size_mib > settings.max_message_mib:
        raise RapportError(
            f"resume tokens of this model have up to {size_mib:.3f} MiB, but endpoints.stream.max_message_mib is "
            f"{settings.max_message_mib:g}: set it to {math.ceil(100 * size_mib) / 100:g} or more"
        )


def _facts_of(model: HeadMotionModel, created: int) -> ModelFacts:
    config = model.config
    latency_s = config.latency_s if config.streams else 0.0
    return ModelFacts(config.front_end.frame_rate_hz, config.streams, config.head.kind == "gaussian", latency_s, created)
