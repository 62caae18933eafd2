"""Every picture is looked at once."""

from collections.abc import Sequence

import numpy as np

from rapport.simulator.feature_cache import FeatureCache


class Eyes:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        self.seen.append(len(pictures))
        return np.stack([picture.mean((0, 1)) for picture in pictures])


def picture(value: int, *, shared: bool = True) -> np.ndarray:
    made = np.full((4, 4, 3), value, np.uint8)
    made.setflags(write=not shared)
    return made


def test_pictures_are_seen_once_by_array_and_by_content() -> None:
    eyes = Eyes()
    cache = FeatureCache(eyes, 10)
    first, second = picture(1), picture(2)
    features = cache.features([first, second, first, picture(2)])
    assert [f.tolist() for f in features] == [[1] * 3, [2] * 3, [1] * 3, [2] * 3]
    assert features[0].dtype == np.float32
    assert cache.features([second])[0].tolist() == [2] * 3
    assert cache.features([]) == []
    assert eyes.seen == [2]


def test_an_array_that_is_painted_over_is_seen_again() -> None:
    cache = FeatureCache(Eyes(), 10)
    canvas = picture(1, shared=False)
    cache.features([canvas])
    canvas[:] = 7
    assert cache.features([canvas])[0].tolist() == [7] * 3


def test_an_array_whose_place_in_memory_is_taken_is_not_mistaken() -> None:
    cache = FeatureCache(Eyes(), 100)
    for value in range(50):
        assert cache.features([picture(value)])[0][0] == value


def test_the_oldest_are_forgotten_first() -> None:
    eyes = Eyes()
    cache = FeatureCache(eyes, 2)
    kept = [picture(value) for value in range(3)]
    assert [f[0] for f in cache.features(kept)] == [0, 1, 2]
    assert [f[0] for f in cache.features([kept[2], kept[1], kept[0]])] == [2, 1, 0]
    assert eyes.seen == [3, 1]
