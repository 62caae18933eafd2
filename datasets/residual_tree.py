"""Residuals as they were published: one `.npy` file [T, D] for each audio file, in a tree that mirrors the audio's.

    tree = read_residual_tree("/data/EmotionSpeechDataset_residual_6L-1000k", "/data/EmotionSpeechDataset")
    tree.get("/data/EmotionSpeechDataset/0011/Angry/0011_000351.wav")        # float32 [T, D]

Axes: T frames, D width.
"""

import io
import posixpath
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError


@dataclass(frozen=True, slots=True)
class ResidualTree:
    """Where the residuals of audio files lie."""

    root: str
    audio_root: str

    def path_of(self, audio_path: str) -> str:
        """Where the residuals of an audio file should lie.

        Raises RapportError for audio outside the root: a path that does not match must not be taken for one that does.
        """
        inner = storage.resolve(audio_path)[1]
        base = storage.resolve(self.audio_root)[1].rstrip("/") + "/"
        if not inner.startswith(base):
            raise RapportError(f"{audio_path} does not lie below audio_root {self.audio_root}: set it to the corpus as it was prepared")
        return storage.join(self.root, posixpath.splitext(inner[len(base) :])[0] + ".npy")

    def get(self, audio_path: str) -> npt.NDArray[np.float32]:
        """The residuals [T, D] of an audio file.

        Raises RapportError when they are missing, or no matrix of finite numbers.
        """
        path = self.path_of(audio_path)
        try:
            values = np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise RapportError(f"cannot read the residuals {path} of {audio_path}: {error}") from error
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
            raise RapportError(f"{path} holds {values.dtype} {list(values.shape)}: wanted finite numbers [T, D]")
        return values.astype(np.float32)


def read_residual_tree(root: str | Path, audio_root: str | Path) -> ResidualTree:
    """The residuals below `root`, whose tree mirrors that of the audio below `audio_root`.

    Raises RapportError when `root` is no folder.
    """
    if not storage.is_folder(root):
        raise RapportError(f"residual_tree {root} is no folder that can be read")
    return ResidualTree(str(root), str(audio_root))
