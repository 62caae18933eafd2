"""Pictures by diffusion: the real loading and drawing code on a tiny random model, and what becomes of black pictures."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.image.diffusers import DiffusionPictures
from rapport.models.backends.pictures import DiffusersConfig, load_pictures
from rapport.simulator.requests import Failure, PictureRequest
from tests.models.backends.image.tiny import write_diffusion

needs_diffusers = pytest.mark.skipif(find_spec("diffusers") is None, reason="diffusers is not installed")


def request(prompt: str = "an apple", index: int | None = 0, side: int = 16) -> PictureRequest:
    return PictureRequest(1, "apple", prompt, "train", index, 0, side, side)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return write_diffusion(tmp_path_factory.mktemp("diffusion"))


def load(folder: Path, lora: str = "", **settings: Any) -> DiffusionPictures:
    config = DiffusersConfig(lora=lora, num_inference_steps=2, **settings)
    found = load_pictures(f"diffusers:{folder / 'sdxl'}", config=config)
    assert isinstance(found, DiffusionPictures)
    return found


@needs_diffusers
def test_a_request_decides_its_picture_whatever_is_in_the_batch(folder: Path) -> None:
    maker = load(folder, batch_size=2)
    asked = [request(index=index, side=side) for index, side in ((0, 16), (1, 16), (2, 16), (0, 24))]
    found = [np.asarray(picture) for picture in maker.batch(asked)]
    assert [(picture.dtype, picture.shape) for picture in found] == [(np.uint8, (side, side, 3)) for side in (16, 16, 16, 24)]
    for one, picture in zip(asked, found, strict=True):
        alone = np.asarray(maker.batch([one])[0])
        assert np.abs(alone.astype(int) - picture).max() <= 1
    assert not np.array_equal(found[0], found[1])


@needs_diffusers
def test_a_lora_and_every_setting_make_another_version(folder: Path) -> None:
    plain, adapted = load(folder), load(folder, lora=str(folder / "lora"))
    assert not np.array_equal(np.asarray(plain.batch([request()])[0]), np.asarray(adapted.batch([request()])[0]))
    versions = {plain.version, adapted.version, load(folder, guidance_scale=1.0).version, load(folder, scheduler="own").version}
    assert len(versions) == 4
    assert load(folder, batch_size=1).version == plain.version


@needs_diffusers
def test_sizes_that_no_model_draws_are_refused(folder: Path) -> None:
    with pytest.raises(RapportError, match="multiples of 8"):
        load(folder).batch([request(side=20)])


@needs_diffusers
@pytest.mark.parametrize("lora", ["", "nobody/nothing"])
def test_weights_that_are_not_there_are_told(lora: str, folder: Path, tmp_path: Path) -> None:
    source = folder / "sdxl" if lora else tmp_path
    with pytest.raises(RapportError, match="cannot load the pictures diffusers:"):
        load_pictures(f"diffusers:{source}", config=DiffusersConfig(lora=lora))


def test_without_diffusers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(RapportError, match=r"pip install 'rapport\[diffusers\]'"):
        load_pictures("diffusers")


class Filtered:
    """Stands in for a pipeline whose filter blackens every picture of some prompts, or the first attempts at them."""

    def __init__(self, attempts: dict[str, int]) -> None:
        self._left = dict(attempts)
        self.seeds: list[int] = []

    def __call__(self, *, prompt: list[str], height: int, width: int, generator: list[Any], **settings: Any) -> SimpleNamespace:
        self.seeds += [chance.initial_seed() for chance in generator]
        pictures = np.full((len(prompt), height, width, 3), 0.5)
        for row, text in enumerate(prompt):
            if self._left.get(text, 0) > 0:
                self._left[text] -= 1
                pictures[row] = np.nan if self._left[text] % 2 else 0.0
        return SimpleNamespace(images=pictures)


def test_a_black_picture_is_drawn_again_with_another_seed_and_fails_in_the_end() -> None:
    pipeline = Filtered({"twice": 2, "always": 99})
    maker = DiffusionPictures(pipeline, DiffusersConfig(retries=3, batch_size=2), "weights")
    good, twice, always = maker.batch([request("good"), request("twice", 1), request("always", 2)])
    assert np.asarray(good).mean() == np.asarray(twice).mean() == 128
    assert isinstance(always, Failure)
    assert (always.service, "black after 4 attempts: always" in always.reason) == ("pictures", True)
    assert len(pipeline.seeds) == len(set(pipeline.seeds)) == 1 + 3 + 4
