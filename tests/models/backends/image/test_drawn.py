"""Drawn pictures: the same again, another for every index and pool, and recognisable by item."""

from typing import Any

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.pictures import load_pictures
from rapport.simulator.requests import PictureRequest

NAMES = ("apple", "banana", "green_pepper", "white_radish", "egg", "eggplant", "potato", "udon", "sushi", "pizza")
drawn = pytest.mark.parametrize("name", ["procedural", "procedural:balanced", "flat"])


def request(item: str = "apple", **other: Any) -> PictureRequest:
    fields = {"item_id": 1, "name": item, "prompt": "", "mode": "train", "index": 0, "seed": 0, "height": 64, "width": 64}
    return PictureRequest(**{**fields, **other})


def picture(name: str, wanted: PictureRequest) -> np.ndarray:
    found = load_pictures(name).batch([wanted])[0]
    assert isinstance(found, np.ndarray)
    return found


@drawn
@pytest.mark.parametrize("size", [(64, 64), (32, 48), (1, 1)])
def test_pictures_have_the_size_that_was_asked_for(name: str, size: tuple[int, int]) -> None:
    found = picture(name, request(height=size[0], width=size[1]))
    assert (found.dtype, found.shape) == (np.uint8, (*size, 3))
    found[:] = 0  # the caller's own


@drawn
def test_a_request_decides_its_picture_alone(name: str) -> None:
    asked = [request(item, index=index, mode=mode) for item in NAMES for index in range(3) for mode in ("train", "test")]
    together = load_pictures(name).batch(asked)
    assert all(np.array_equal(picture(name, one), np.asarray(found)) for one, found in zip(asked, together, strict=True))
    assert len({np.asarray(found).tobytes() for found in together}) == len(asked), "pools and indices share none"
    assert not np.array_equal(picture(name, request(seed=1)), picture(name, request()))


@drawn
def test_pictures_of_an_item_are_more_alike_than_those_of_others(name: str) -> None:
    def features(item: str, index: int) -> np.ndarray:
        found = picture(name, request(item, index=index)).reshape(-1, 3) / 255.0
        # Colour of what differs from the ground, which is what most corners show.
        ground = np.median(found[[0, 63, -64, -1]], axis=0)
        body = found[np.abs(found - ground).sum(1) > 0.25] if name != "flat" else found
        return body.mean(0)

    known = np.stack([np.mean([features(item, index) for index in range(8)], axis=0) for item in NAMES])
    guesses = [
        int(np.linalg.norm(known - features(item, index), axis=1).argmin()) == number
        for number, item in enumerate(NAMES)
        for index in range(8, 14)
    ]
    assert np.mean(guesses) > 0.8


def test_a_colour_in_the_name_is_the_colour_of_the_item() -> None:
    pepper = picture("procedural", request("green_pepper")).reshape(-1, 3).astype(int)
    body = pepper[np.ptp(pepper, axis=1) > 40]
    assert len(body) > 100
    assert (body.argmax(axis=1) == 1).mean() > 0.95


def test_balanced_grounds_run_from_dark_to_light() -> None:
    corners = [picture("procedural:balanced", request(index=index))[0, 0].mean() for index in range(60)]
    assert min(corners) < 50
    assert max(corners) > 200
    assert picture("procedural", request())[0, 0].mean() > 235


def test_unknown_makers_and_grounds_are_refused() -> None:
    with pytest.raises(RapportError, match="white or balanced"):
        load_pictures("procedural:green")
    with pytest.raises(RapportError, match="did you mean 'procedural'"):
        load_pictures("procedual")
