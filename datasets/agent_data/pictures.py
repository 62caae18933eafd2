"""Pictures for pretraining: drawn by a service, filtered, drawn again when black or blank, and stored as JPEG files."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.config import PicturesConfig
from rapport.datasets.agent_data.work import Row
from rapport.datasets.synthetic.seeds import generator
from rapport.simulator.requests import Failure, PictureRequest, Result, Service

PICTURES = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # below the folder of the data
        pa.field("item_id", pa.int32(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),  # j, among the pictures of the item
        pa.field("drawn", pa.int32()),  # how often it was drawn until it could be used
        pa.field("sha256", pa.string()),  # of the file; this and `drawn` of good pictures only
        pa.field("reason", pa.string()),  # pictures that cannot be used: black, blank or failed
        pa.field("message", pa.string()),
    ]
)
"""`pictures.parquet`."""


class PictureMaker:
    """Draws the pictures of a chunk below `folder`. What a picture shows depends on the seed and its own path alone."""

    def __init__(self, open_service: Callable[[], Service[PictureRequest]], folder: str, config: PicturesConfig, seed: int) -> None:
        self.service, self.folder, self.config, self.seed = open_service(), folder, config, seed

    def __call__(self, planned: Sequence[Mapping[str, Any]]) -> list[Row]:
        """One batch for all pictures, then one for those that were refused, until each is good or its attempts are spent."""
        rows: dict[str, Row] = {}
        remaining = list(planned)
        for attempt in range(self.config.attempts):
            if not remaining:
                break
            results = self.service.batch([self._request(one, attempt) for one in remaining])
            for one, result in zip(remaining, results, strict=True):
                rows[one["path"]] = {**one, **self._judge(one["path"], result), "drawn": attempt + 1}
            remaining = [one for one in remaining if rows[one["path"]].get("reason")]
        return [rows[one["path"]] for one in planned]

    def _request(self, one: Mapping[str, Any], attempt: int) -> PictureRequest:
        seed = int(generator(self.seed, "picture", one["path"], str(attempt)).integers(2**31))
        pool = "train" if one["side"] == "train" else "test"
        # No index: a picture of pretraining is none of those that are shown in dialogues.
        return PictureRequest(
            one["item_id"], one["item"], one["prompt"], pool, None, seed, height=self.config.height, width=self.config.width
        )

    def _judge(self, path: str, result: Result) -> Row:
        """The facts of a picture that was written, or what is wrong with it."""
        if isinstance(result, Failure):
            return {"reason": "failed", "message": result.reason}
        wanted = (self.config.height, self.config.width, 3)
        if not isinstance(result, np.ndarray) or result.dtype != np.uint8 or result.shape != wanted:
            found = f"{result.dtype} {list(result.shape)}" if isinstance(result, np.ndarray) else type(result).__name__
            raise RapportError(f"the picture service gave {found} for {path}, wanted uint8 {list(wanted)}")
        mean, spread = float(result.mean()), float(result.std())
        if mean < self.config.min_mean:
            return {"reason": "black", "message": f"the mean pixel is {mean:.3g}, pictures.min_mean is {self.config.min_mean:g}"}
        if spread < self.config.min_spread:
            return {"reason": "blank", "message": f"pixels spread by {spread:.3g}, pictures.min_spread is {self.config.min_spread:g}"}
        data = encode_jpeg(result, self.config.jpeg_quality)
        storage.write_bytes(storage.join(self.folder, path), data)
        return {"sha256": hashlib.sha256(data).hexdigest(), "reason": None}


def encode_jpeg(picture: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG file of a picture [H, W, 3]; the colours are stored as finely as the brightness, for items are told apart by them."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "JPEG", quality=quality, subsampling=0)
    return sink.getvalue()


def read_picture(path: str) -> npt.NDArray[np.uint8]:
    """The picture in a file, uint8 [H, W, 3]."""
    from PIL import Image

    with Image.open(io.BytesIO(storage.read_bytes(path))) as image:
        return np.asarray(image.convert("RGB"))
