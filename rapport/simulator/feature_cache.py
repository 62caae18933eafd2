"""Features of pictures, each looked at once: pools are small, and the same pictures are shown again and again."""

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np


class FeatureCache:
    """Keeps the last `size` pictures' features. A picture is known by its array, or where that is new by its content."""

    def __init__(self, see: Callable[[Sequence[np.ndarray]], np.ndarray], size: int) -> None:
        """`see` gives float32 [N, F] of N pictures, uint8 [H, W, 3]."""
        self._see = see
        self._size = size
        self._by_array: OrderedDict[int, tuple[weakref.ref[np.ndarray], np.ndarray]] = OrderedDict()
        self._by_content: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def features(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Those of each picture, float32 [F], read-only; all that are new are seen as one batch."""
        found: list[np.ndarray | None] = [self._of_array(picture) for picture in pictures]
        missing = [place for place, features in enumerate(found) if features is None]
        if missing:
            keys = [_content(pictures[place]) for place in missing]
            known = {key: self._by_content[key] for key in keys if key in self._by_content}
            new = {key: pictures[place] for key, place in zip(keys, missing, strict=True) if key not in known}
            if new:
                known |= zip(new, self._look(list(new.values())), strict=True)
            for key, place in zip(keys, missing, strict=True):
                found[place] = known[key]
                self._keep(pictures[place], key, known[key])
        return [features for features in found if features is not None]

    def _of_array(self, picture: np.ndarray) -> np.ndarray | None:
        entry = self._by_array.get(id(picture))
        if entry is None or entry[0]() is not picture:  # ids are given again once an array is gone
            return None
        self._by_array.move_to_end(id(picture))
        return entry[1]

    def _look(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        features = np.asarray(self._see(pictures), dtype=np.float32)
        features.setflags(write=False)
        return list(features)

    def _keep(self, picture: np.ndarray, key: bytes, features: np.ndarray) -> None:
        self._by_content[key] = features
        self._by_content.move_to_end(key)
        if not picture.flags.writeable:  # else the same array may hold another picture next time
            self._by_array[id(picture)] = (weakref.ref(picture), features)
        for kept in (self._by_array, self._by_content):
            while len(kept) > self._size:
                kept.popitem(last=False)


def _content(picture: np.ndarray) -> bytes:
    return hashlib.blake2b(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes(), digest_size=16).digest()
