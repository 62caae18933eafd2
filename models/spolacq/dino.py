"""Eyes that were trained without labels: the class token of a DINO vision transformer.

Axes: N pictures, F features.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import ViTModel

from rapport.core.errors import RapportError
from rapport.models.spolacq.config import EyesConfig
from rapport.models.spolacq.eyes import Picture, check_picture

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class DinoEyes:
    """`rapport.models.spolacq.eyes.Eyes`."""

    def __init__(self, config: EyesConfig, *, source: str, device: str = "cpu") -> None:
        """Raises RapportError when `source` cannot be loaded, or holds no vision transformer in safetensors."""
        try:
            # Without the pooler, which DINO has not: its class token after the last norm is the feature.
            model = ViTModel.from_pretrained(source, revision=config.revision or "main", add_pooling_layer=False, use_safetensors=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise RapportError(f"eyes.source {source} cannot be loaded as a vision transformer: {error}") from error
        patch = model.config.patch_size
        if not isinstance(patch, int):
            raise RapportError(f"the patches of {source} are {patch}: wanted square ones, one number")
        if config.size % patch:
            raise RapportError(f"eyes.size is {config.size}: wanted a multiple of the patches of {source}, {patch}")
        self._config = config
        self._model = model.eval().requires_grad_(False).to(device)
        digest = hashlib.sha256()
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        self._identity = {"kind": "dino", "size": str(config.size), "weights_sha256": digest.hexdigest()}

    @property
    def width(self) -> int:
        """The hidden size, 768 for ViT-B."""
        return int(self._model.config.hidden_size)

    @property
    def identity(self) -> Mapping[str, str]:
        """Size of the pictures, and a hash of the weights: the same for a hub id and for a copy of it in a folder."""
        return self._identity

    @torch.inference_mode()
    def see(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Features [N, F]."""
        found = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(pictures), self._config.batch_size):
            batch = np.stack([self._input(check_picture(p)) for p in pictures[start : start + self._config.batch_size]])
            # Sizes other than that of the training are welcome: positions are interpolated.
            states = self._model(torch.from_numpy(batch).to(self._model.device), interpolate_pos_encoding=True).last_hidden_state
            found.append(states[:, 0].float().cpu().numpy())
        return np.concatenate(found)

    def _input(self, picture: Picture) -> npt.NDArray[np.float32]:
        """[3, size, size], scaled as ImageNet."""
        size = self._config.size
        scaled = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255
        return np.ascontiguousarray(((scaled - _IMAGENET_MEAN) / _IMAGENET_DEVIATION).transpose(2, 0, 1))
