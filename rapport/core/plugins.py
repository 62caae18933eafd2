"""Plug-ins by file name: a new corpus, app or search space is one new file, found here and nowhere registered."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rapport.core.errors import RapportError


def available(room: str) -> list[str]:
    """Names of the plug-ins in a room, sorted: the file names of `rapport.<room>`, such as room `datasets.corpora`.

    Files that begin with an underscore are the room's own helpers.
    """
    package = import_module(f"rapport.{room}")
    files = (p for folder in package.__path__ for p in Path(folder).glob("*.py"))
    return sorted({p.stem for p in files if not p.stem.startswith("_")})


def load(room: str, name: str) -> ModuleType:
    """The plug-in `rapport.<room>.<name>`.

    Raises RapportError that lists what there is, and the nearest name, when there is none of that name.
    """
    names = available(room)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RapportError(f"no {name!r} in {room.replace('.', '/')}: there are {', '.join(names)}{hint}")
    return import_module(f"rapport.{room}.{name}")
