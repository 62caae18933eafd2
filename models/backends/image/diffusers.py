"""Pictures by diffusion: `pip install 'rapport[diffusers]'`. Weights by hub id or folder, safetensors only, with a LoRA where one is named.

The published simulator draws with Stable Diffusion XL and the LoRA `mann-e/Mann-E_Turbo`. A picture that came out black, as a model's own
filter leaves it, is drawn again with another seed.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.backends.image._seeds import seed_of
from rapport.models.backends.pictures import DiffusersConfig
from rapport.simulator.requests import Failure, PictureRequest, Result

PUBLISHED = "stabilityai/stable-diffusion-xl-base-1.0"
_BLACK = 1.0
"""A picture whose mean pixel lies below this is black."""
_STEP = 8
"""Sizes are multiples of this."""
_END = 2**20  # bytes at either end of a file of weights that tell it from others


def load(source: str = PUBLISHED, *, config: DiffusersConfig | None = None) -> "DiffusionPictures":
    """The maker with the weights of a hub id, folder or URI.

    Raises RapportError when diffusers is not installed, or weights cannot be loaded.
    """
    config = config or DiffusersConfig()
    return DiffusionPictures(_pipeline(source, config), config, _identity(source, config))


class DiffusionPictures:
    """A `rapport.simulator.requests.Service` for picture requests, over a diffusers pipeline from text to pictures."""

    deterministic = True
    unread = ("item_id",)

    def __init__(self, pipeline: Any, config: DiffusersConfig, identity: str) -> None:
        """`identity` tells the weights."""
        self._pipeline, self._config = pipeline, config
        settings = config.model_dump(mode="json", include={"num_inference_steps", "guidance_scale", "retries", "dtype", "scheduler"})
        self.version = f"diffusers 1 {storage.content_key({'weights': identity, **settings})}"

    def batch(self, requests: Sequence[PictureRequest]) -> list[Result]:
        """A picture, uint8 [H, W, 3], for each request; a Failure for one that stays black.

        Raises RapportError for a size that is no multiple of 8.
        """
        found: list[Result] = [Failure("pictures", f"black after {1 + self._config.retries} attempts: {r.prompt[:100]}") for r in requests]
        wanted = list(range(len(requests)))
        for attempt in range(1 + self._config.retries):
            for places in self._together(requests, wanted):
                pictures = self._draw([requests[place] for place in places], attempt)
                for place, picture in zip(places, pictures, strict=True):
                    if picture.mean() >= _BLACK:
                        found[place] = picture
            wanted = [place for place in wanted if isinstance(found[place], Failure)]
        return found

    def _together(self, requests: Sequence[PictureRequest], places: Sequence[int]) -> Iterator[list[int]]:
        """Places of requests of one size, at most a batch at a time."""
        sizes: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place in places:
            sizes[requests[place].height, requests[place].width].append(place)
        for same in sizes.values():
            for first in range(0, len(same), self._config.batch_size):
                yield same[first : first + self._config.batch_size]

    def _draw(self, requests: Sequence[PictureRequest], attempt: int) -> np.ndarray:
        """uint8 [B, H, W, 3] of requests of one size."""
        import torch

        height, width = requests[0].height, requests[0].width
        if height % _STEP or width % _STEP:
            raise RapportError(f"pictures of {height} x {width}: a diffusion model draws multiples of {_STEP}, set height and width")
        # On the CPU, so that a seed means the same noise on every device.
        chance = [torch.Generator("cpu").manual_seed(seed_of(request, attempt)) for request in requests]
        drawn = self._pipeline(
            prompt=[request.prompt for request in requests],
            height=height,
            width=width,
            num_inference_steps=self._config.num_inference_steps,
            guidance_scale=self._config.guidance_scale,
            generator=chance,
            output_type="np",
        ).images
        # Half precision can overflow to NaN, which is as good as black.
        return np.asarray(np.rint(255 * np.clip(np.nan_to_num(drawn), 0, 1)), np.uint8)


def _pipeline(source: str, config: DiffusersConfig) -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise RapportError("diffusers is not installed: pip install 'rapport[diffusers]', or take the pictures procedural") from error
    import torch

    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    dtype = ("float16" if device.startswith("cuda") else "float32") if config.dtype == "auto" else config.dtype
    try:
        # safetensors only: other formats are pickles, which can run code while they load.
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(
            _local(source), revision=config.revision, torch_dtype=getattr(torch, dtype), use_safetensors=True
        )
        if config.lora:
            pipeline.load_lora_weights(_local(config.lora), use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise RapportError(
            f"cannot load the pictures diffusers:{source} with the LoRA {config.lora or 'none'!r}: {error}\nName hub ids, or folders with "
            "safetensors; set diffusers.lora to an empty text for a model without one"
        ) from error
    if config.scheduler == "published":
        pipeline.scheduler = diffusers.DPMSolverSinglestepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _local(source: str) -> str:
    return str(storage.local_copy(source)) if "://" in source else source


def _identity(source: str, config: DiffusersConfig) -> str:
    """What tells these weights from others: hub id and commit, or of a folder the ends of its files."""
    return " ".join(_ends(name) if Path(_local(name)).is_dir() else f"{name}@{config.revision}" for name in (source, config.lora) if name)


def _ends(folder: str) -> str:
    digest = sha256()
    root = Path(_local(folder))
    for file in sorted(root.rglob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(root).as_posix()} {size}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_END))
            stream.seek(max(0, size - _END))
            digest.update(stream.read(_END))
    return digest.hexdigest()
