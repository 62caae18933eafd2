"""What every maker of pictures in models/backends/image keeps to. A new file there is covered the day it lands."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rapport.core import plugins
from rapport.models.backends.pictures import DiffusersConfig, load_pictures
from rapport.simulator.requests import PictureRequest, Service
from tests.models.backends.image.tiny import write_diffusion

NAMES = plugins.available("models.backends.image")
ONE = PictureRequest(3, "green_pepper", "a green pepper", "train", 0, 0, 16, 16)
APPLE = replace(ONE, item_id=4, name="apple", prompt="an apple")
ASKED = (ONE, replace(ONE, index=1), APPLE, replace(ONE, mode="test"), replace(ONE, height=24))


@pytest.fixture(scope="module", params=NAMES)
def maker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Service[PictureRequest]:
    if request.param == "diffusers":
        pytest.importorskip("diffusers")
        folder = write_diffusion(tmp_path_factory.mktemp("diffusion"))
        return load_pictures(f"diffusers:{folder / 'sdxl'}", config=DiffusersConfig(lora="", num_inference_steps=2))
    return load_pictures(request.param)


def drawn(maker: Service[PictureRequest], *requests: PictureRequest) -> list[npt.NDArray[Any]]:
    return [np.asarray(picture) for picture in maker.batch(requests)]


def test_every_picture_has_the_size_that_was_asked_for(maker: Service[PictureRequest]) -> None:
    for request, picture in zip(ASKED, drawn(maker, *ASKED), strict=True):
        assert (picture.dtype, picture.shape) == (np.uint8, (request.height, request.width, 3))
    assert maker.batch([]) == []


def test_a_picture_does_not_depend_on_company_order_or_when_it_is_drawn(maker: Service[PictureRequest]) -> None:
    together = drawn(maker, *ASKED)
    for request, picture, other in zip(ASKED, together, drawn(maker, *ASKED[::-1])[::-1], strict=True):
        alone = drawn(maker, request)[0]
        # A network rounds otherwise in batches of other sizes.
        assert np.abs(alone.astype(int) - picture).max() <= 1
        assert np.abs(other.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("other", [{"index": 1}, {"mode": "test"}, {"seed": 1}, {"index": None, "seed": 5}], ids=str)
def test_no_two_pictures_of_an_item_are_the_same(maker: Service[PictureRequest], other: dict[str, Any]) -> None:
    first, second = drawn(maker, ONE, replace(ONE, **other))
    assert not np.array_equal(first, second)


def test_items_do_not_look_the_same(maker: Service[PictureRequest]) -> None:
    first, second = drawn(maker, ONE, APPLE)
    assert not np.array_equal(first, second)


def test_what_a_maker_says_it_does_not_read_changes_nothing(maker: Service[PictureRequest]) -> None:
    other: dict[str, Any] = {"item_id": 9, "prompt": "something else", "name": "carrot"}
    unread = {name: value for name, value in other.items() if name in getattr(maker, "unread", ())}
    first, second = drawn(maker, ONE, replace(ONE, **unread))
    assert np.array_equal(first, second)


def test_pictures_may_be_kept_and_the_version_is_text_that_stays(maker: Service[PictureRequest]) -> None:
    before = maker.version
    drawn(maker, ONE)
    assert maker.deterministic
    assert before == maker.version != ""
