"""What every judge and every maker of pictures promises. A new file in models/backends/judge or models/backends/image is covered the day
it lands; one that wants weights, a key or an extra that is not here is covered as far as that goes."""

import inspect
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core import plugins
from rapport.core.errors import RapportError
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.simulator.requests import Failure, JudgeRequest, PictureRequest, Result
from rapport.simulator.verdict import read_verdict

JUDGES, PICTURES = "models.backends.judge", "models.backends.image"
BACKENDS = [(room, name) for room in (JUDGES, PICTURES) for name in plugins.available(room)]
TURNS = [
    JudgeRequest("A clerk.", heard, ("sweet_potato", "egg"), ((1, "Stop"),), seed)
    for seed, heard in enumerate(("egg", "", "i want sweet potato", "{}"))
]
SIGHTS = [PictureRequest(1, name, f"A {name}.", mode, 0, 0, 16, 24) for name in ("egg", "sweet_potato") for mode in ("train", "test")]

IMPORT = """
import sys
from rapport.core import plugins
plugins.load(*sys.argv[1:])
assert not {"openai", "diffusers", "ray"} & set(sys.modules), "an extra is imported when it is used"
"""


def service(room: str, name: str) -> Any:
    try:
        return plugins.load(room, name).load()
    except RapportError as error:
        pytest.skip(f"{name} cannot be had here: {str(error).splitlines()[0]}")


def equal(first: Sequence[Result], second: Sequence[Result]) -> bool:
    return len(first) == len(second) and all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("room", "name"), BACKENDS)
def test_a_back_end_is_told_and_loaded_by_its_name(room: str, name: str) -> None:
    module = plugins.load(room, name)
    assert module.__doc__
    assert "Raises RapportError" in (module.load.__doc__ or "") or not inspect.signature(module.load).parameters
    field = ServicesConfig.model_fields["judge" if room == JUDGES else "pictures"]
    assert f"`{name}" in (field.description or ""), "the setting tells which there are"


@pytest.mark.parametrize(("room", "name"), BACKENDS)
def test_importing_one_imports_no_extra(room: str, name: str, repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT, room, name], cwd=repository, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("room", "name"), BACKENDS)
def test_answers_come_in_order_and_do_not_depend_on_the_batch(room: str, name: str) -> None:
    found = service(room, name)
    assert (type(found.version), type(found.deterministic)) == (str, bool)
    assert found.version == service(room, name).version
    requests: list[Any] = list(TURNS if room == JUDGES else SIGHTS)
    together = found.batch(requests)
    assert found.batch([]) == []
    if found.deterministic:
        assert equal(together, [found.batch([request])[0] for request in requests])
        assert equal(together[::-1], found.batch(requests[::-1]))


@pytest.mark.parametrize("name", plugins.available(JUDGES))
def test_a_judge_gives_what_is_offered_and_moves_where_it_may(name: str) -> None:
    for request, reply in zip(TURNS, service(JUDGES, name).batch(TURNS), strict=True):
        verdict = read_verdict(str(reply))
        assert verdict.item_name in {*request.offered, None}
        assert verdict.next_scene_id in {1, None}


@pytest.mark.parametrize("name", plugins.available(PICTURES))
def test_pictures_have_their_size_and_pools_share_none(name: str) -> None:
    found = service(PICTURES, name).batch(SIGHTS)
    assert not any(isinstance(picture, Failure) for picture in found)
    assert all((picture.dtype, picture.shape) == (np.uint8, (16, 24, 3)) for picture in found)
    assert len({picture.tobytes() for picture in found}) == len(SIGHTS)
