"""Pictures of one colour: an item's own, a little different in each picture. They stand in where only identity and colour matter."""

from collections.abc import Sequence

import numpy as np

from rapport.models.backends.image._seeds import look_of, variation_of
from rapport.simulator.requests import PictureRequest, Result

_SPREAD = 8


def load() -> "FlatPictures":
    """The maker."""
    return FlatPictures()


class FlatPictures:
    """A `rapport.simulator.requests.Service` for picture requests."""

    version = "flat 1"
    deterministic = True
    unread = ("item_id", "prompt")

    def batch(self, requests: Sequence[PictureRequest]) -> list[Result]:
        """A picture, uint8 [H, W, 3], for each request."""
        return [_picture(request) for request in requests]


def _picture(request: PictureRequest) -> np.ndarray:
    own = look_of(request.name).integers(0, 256, 3)
    shift = variation_of(request).integers(-_SPREAD, _SPREAD + 1, 3)
    colour = np.clip(own + shift, 0, 255).astype(np.uint8)
    return np.broadcast_to(colour, (request.height, request.width, 3)).copy()
