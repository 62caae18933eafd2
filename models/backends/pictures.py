"""A maker of pictures by name, as settings write it: `procedural`, `flat` or `diffusers:<hub id or folder>`; and the latter's settings."""

from typing import Any, Literal

from pydantic import Field

from rapport.core import plugins
from rapport.core.config import Config
from rapport.simulator.requests import PictureRequest, Service


class DiffusersConfig(Config):
    """How a diffusion model draws. The defaults are those of the published simulator in a dialogue."""

    lora: str = "mann-e/Mann-E_Turbo"
    """Hub id or folder of low-rank weights that are put on the model; empty for none."""
    revision: str | None = None
    """Commit of the model's hub repository; None is its newest."""
    num_inference_steps: int = Field(default=8, ge=1)
    """Steps of denoising."""
    guidance_scale: float = Field(default=4.0, ge=0)
    """How closely a picture follows its prompt."""
    scheduler: Literal["published", "own"] = "published"
    """How noise is taken away: DPM++ in single steps with Karras' levels of noise, or as the model itself says."""
    batch_size: int = Field(default=4, ge=1)
    """Pictures that are drawn together."""
    retries: int = Field(default=4, ge=0)
    """Further attempts, with other seeds, at a picture that came out black, as a model's own filter leaves it."""
    device: str = "auto"
    """A torch device; `auto` takes the GPU where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Numbers to compute with; `auto` is float16 on a GPU."""


def load_pictures(name: str, **settings: Any) -> Service[PictureRequest]:
    """The maker of that name. What follows a colon is handed to the back-end's `load`, and so are the settings.

    Raises RapportError for a back-end that does not exist or is not installed.
    """
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.image", backend)
    pictures: Service[PictureRequest] = module.load(source, **settings) if source else module.load(**settings)
    return pictures
