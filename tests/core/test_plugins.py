"""A plug-in is a file; its name is its registration."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rapport
from rapport.core import plugins
from rapport.core.errors import RapportError


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A room `rapport.toy_room` with two plug-ins and a helper."""
    folder = tmp_path / "toy_room"
    folder.mkdir()
    for name in ("beta", "alpha", "_helper"):
        (folder / f"{name}.py").write_text(f"NAME = {name!r}\n")
    (folder / "notes.txt").write_text("no plug-in")
    monkeypatch.setattr(rapport, "__path__", [*rapport.__path__, str(tmp_path)])
    yield folder
    for name in [m for m in sys.modules if m.startswith("rapport.toy_room")]:
        del sys.modules[name]


def test_every_file_is_found_except_helpers(room: Path) -> None:
    assert plugins.available("toy_room") == ["alpha", "beta"]


def test_a_plug_in_loads_by_its_file_name(room: Path) -> None:
    assert plugins.load("toy_room", "beta").NAME == "beta"


def test_a_new_file_is_found_at_once(room: Path) -> None:
    (room / "gamma.py").write_text("")
    assert "gamma" in plugins.available("toy_room")


def test_an_unknown_name_lists_what_there_is_and_suggests_the_nearest(room: Path) -> None:
    with pytest.raises(RapportError, match=r"no 'bta' in toy_room: there are alpha, beta; did you mean 'beta'\?"):
        plugins.load("toy_room", "bta")


def test_the_shipped_corpora_are_found() -> None:
    assert "ravdess" in plugins.available("datasets.corpora")
