"""Models of head motion, saved and loaded: `config.json`, `model.safetensors`, `README.md` and `metrics.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.front_end import FrontEnd
from rapport.models.listener.model import HeadMotionModel
from rapport.models.saving import ModelError, load_folder, load_strict, save_folder

KIND = "listener"


def save_pretrained(
    model: HeadMotionModel,
    folder: str | Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    card: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write the model folder (path or URI); it is complete when `config.json` is there.

    `weights` by the names of `model.state_dict()` replace the model's own, `card` the plain model card.
    """
    facts = {
        "model": model.config.model_dump(mode="json"),
        "feature_width": model.width,
        "front_end": dict(model.front_end_identity),
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "latency_s": model.config.latency_s if model.config.streams else None,
    }
    tensors = model.state_dict() if weights is None else weights
    save_folder(folder, KIND, facts, tensors, card=card or plain_card(model), metrics=metrics)


def from_pretrained(folder: str | Path, *, front_end: FrontEnd | None = None, dtype: torch.dtype = torch.float64) -> HeadMotionModel:
    """The saved model, on the CPU, in evaluation mode. `front_end` is one that is loaded already.

    In double precision, so that a stream gives the poses of the whole recording within 1e-5 degrees however the audio is cut and whoever
    else is served: the order in which single precision rounds would show. To train on, ask for float32.

    Raises RapportError when the folder is absent or incomplete, when a weight is missing, superfluous or of another shape, or when
    `front_end` is not the one of the training.
    """
    _, saved, tensors = load_folder(folder, KIND)
    try:
        config = ListenerConfig.model_validate(saved["model"])
        width, identity = int(saved["feature_width"]), dict(saved["front_end"])
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}/config.json was written by another version ({saved.get('rapport_version')}): {error}") from error
    model = HeadMotionModel(config, width=width, front_end=front_end, front_end_identity=identity)
    load_strict(model, tensors, folder)
    return model.to(dtype).eval()


def plain_card(model: HeadMotionModel) -> str:
    """A model card with what is known without a training."""
    config = model.config
    timing = f"It streams, {1000 * config.latency_s:.0f} ms behind the speech." if config.streams else "It needs the whole recording."
    return (
        "---\nlibrary_name: rapport\ntags: [speech, head-motion, listener]\n---\n# Head motion of a listener\n\n"
        f"Roll, pitch and yaw ({config.pose}, degrees) of a listener's head, {config.front_end.frame_rate_hz} times a second, from the "
        f"voice of the speaker. Network `{config.network.kind}` with {sum(p.numel() for p in model.parameters()):,} weights over "
        f"`{config.front_end.kind}` features. {timing}\n\n"
        "```python\nfrom rapport.models.listener.pretrained import from_pretrained\n\n"
        'model = from_pretrained("<this folder>")\nposes = model.predict(samples)  # [T, 3] of 16 kHz speech\n```\n'
    )
