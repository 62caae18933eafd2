"""Pictures and speech of dialogues as files that lose nothing: PNG, and WAV of 32-bit floats, which browsers play too."""

import io
import posixpath

import numpy as np

from rapport.core import storage
from rapport.core.audio import decode
from rapport.core.errors import RapportError


class RecordingError(RapportError):
    """A recording that cannot be written or read."""


def encode_picture(picture: np.ndarray) -> bytes:
    """PNG of uint8 [H, W, 3]; equal pictures give equal bytes."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture), "RGB").save(sink, format="PNG")
    return sink.getvalue()


def read_picture(path: str) -> np.ndarray:
    """uint8 [H, W, 3] of an image file. Raises RecordingError when there is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(storage.read_bytes(path))) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise RecordingError(f"{path}: wanted a picture of a recording: {error}") from error


def encode_speech(samples: np.ndarray, rate_hz: int) -> bytes:
    """WAV of float32 [S], beyond full scale too; equal samples give equal bytes."""
    from scipy.io import wavfile

    sink = io.BytesIO()
    wavfile.write(sink, rate_hz, np.asarray(samples, np.float32))
    return sink.getvalue()


def read_speech(path: str) -> np.ndarray:
    """float32 [S] of a WAV file, sample by sample as it was written. Raises RecordingError when there is none."""
    try:
        return decode(path)[0][0]
    except RapportError as error:
        raise RecordingError(f"{path}: wanted speech of a recording: {error}") from error


def keep(path: str, data: bytes) -> None:
    """Write a file of a recording whole or not at all. Raises RecordingError, as a recording with holes is worse than a run that stops."""
    try:
        storage.write_bytes(path, data)
    except OSError as error:
        raise RecordingError(
            f"cannot record to {path}: {error}; make room in {posixpath.dirname(path)}, or record fewer episodes or elsewhere"
        ) from error
