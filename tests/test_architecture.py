"""Imports run one way, and nothing unsafe is called: every file is read with `ast`, none is run."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("ray_jobs", "models", "datasets", "serve_apps", "tune_spaces")

# What each room may import of ours, besides itself. Up this table, never down.
ALLOWED: dict[str, tuple[str, ...]] = {
    "core": (),
    "training": ("core", "models"),
    "simulator": ("core",),
    "datasets": ("core", "simulator"),
    "models": ("core", "simulator"),
    "serve_apps": ("core", "models", "simulator"),
    "tune_spaces": ("core",),  # and configuration classes, see below
    "ray_jobs": ("core", "training", "simulator", "datasets", "models", "serve_apps", "tune_spaces"),
}
# Rooms that must run without a cluster, in a notebook or a unit test.
WITHOUT_RAY = ("core", "training", "simulator", "models")
# Modules that unpickle what they read: a corpus, a checkpoint or an upload could then run code.
UNPICKLERS = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
UNSAFE_CALLS = {
    "torch.load",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
    "pd.read_pickle",
    "pandas.read_pickle",
    "eval",
    "exec",
}
UNSAFE_ARGUMENTS = {"allow_pickle", "trust_remote_code", "weights_only"}


class Source(NamedTuple):
    path: Path
    room: str
    tree: ast.Module

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def _room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "rapport" and len(parts) > 2 else parts[0]


def _sources() -> list[Source]:
    folders = ("rapport", *ROOMS, "tests", "benchmarks")
    files = sorted(f for folder in folders for f in (ROOT / folder).rglob("*.py"))
    return [Source(f, _room(f), ast.parse(f.read_text(encoding="utf-8"))) for f in files]


SOURCES = _sources()
SHIPPED = [s for s in SOURCES if s.room not in ("tests", "benchmarks")]


def _imports(source: Source) -> Iterator[tuple[str, str]]:
    """(file:line, dotted name) of every module that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(source.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        yield from ((f"{source}:{getattr(node, 'lineno', 0)}", name) for name in names)


def _may_import(room: str, name: str) -> bool:
    target = name.split(".")[1] if "." in name else None
    if target in (None, "__version__", room, *ALLOWED[room]):
        return True
    configuration = any(part == "config" or part.endswith("_config") for part in name.split("."))
    return room == "tune_spaces" and configuration


def test_every_file_lies_in_a_room() -> None:
    assert {s.room for s in SHIPPED} - {"rapport"} <= set(ALLOWED)


def test_imports_run_one_way() -> None:
    wrong = [
        f"{where} imports {name}, but {source.room} may import {', '.join(ALLOWED[source.room]) or 'nothing of ours'}"
        for source in SHIPPED
        for where, name in _imports(source)
        if name.startswith("rapport.") and source.room != "rapport" and not _may_import(source.room, name)
    ]
    assert not wrong


def test_the_hall_itself_imports_nothing_of_ours() -> None:
    assert not [where for s in SHIPPED if s.room == "rapport" for where, name in _imports(s) if name.split(".")[0] == "rapport"]


def test_these_rooms_know_nothing_of_ray() -> None:
    assert not [where for s in SHIPPED if s.room in WITHOUT_RAY for where, name in _imports(s) if name.split(".")[0] == "ray"]


def test_rooms_are_imported_under_the_one_name() -> None:
    bare = {"ray_jobs", "models", "serve_apps", "tune_spaces"}
    ours = {f"datasets.{p.stem}" for p in (ROOT / "datasets").iterdir() if not p.name.startswith((".", "_"))}
    wrong = [
        f"{where} imports {name}: write `from rapport.<room>... import ...`"
        for source in SOURCES
        for where, name in _imports(source)
        if name.startswith(".") or name.split(".")[0] in bare or ".".join(name.split(".")[:2]) in ours
    ]
    assert not wrong


def test_nothing_that_is_read_can_run_code() -> None:
    wrong = [f"{where} imports {name}" for s in SHIPPED for where, name in _imports(s) if name.split(".")[0] in UNPICKLERS]
    for source in SHIPPED:
        for call in (n for n in ast.walk(source.tree) if isinstance(n, ast.Call)):
            if ast.unparse(call.func) in UNSAFE_CALLS:
                wrong.append(f"{source}:{call.lineno} calls {ast.unparse(call.func)}")
            wrong += [
                f"{source}:{call.lineno} passes {k.arg}={ast.unparse(k.value)}"
                for k in call.keywords
                if k.arg in UNSAFE_ARGUMENTS and not (isinstance(k.value, ast.Constant) and k.value.value is False)
            ]
    assert not wrong


def test_no_error_is_swallowed() -> None:
    assert not [
        f"{source}:{node.lineno}"
        for source in SHIPPED
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(child, ast.Pass) for child in node.body)
    ]


def test_every_module_says_what_it_is() -> None:
    assert not [str(s) for s in SHIPPED if not ast.get_docstring(s.tree)]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_plain_folders(room: str) -> None:
    # A regular package called `datasets` on sys.path would hide Hugging Face `datasets`, on the cluster only.
    assert not list((ROOT / room).rglob("__init__.py"))


@pytest.mark.parametrize("name", ["core", "simulator", "training", *ROOMS])
def test_type_checkers_see_every_room(name: str) -> None:
    assert (ROOT / ".typecheck" / "rapport" / name).resolve() == (ROOT / name if name in ROOMS else ROOT / "rapport" / name)
