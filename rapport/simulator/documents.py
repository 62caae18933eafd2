"""The JSON and YAML files of tasks, agents and experiments, read into plain values with errors that name the file and the key."""

import json
from collections.abc import Hashable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel

from rapport.core.config import Config, ConfigError, check_config
from rapport.core.storage import exists, read_bytes

MERGE = "tag:yaml.org,2002:merge"
"""YAML's `<<`, which may stand more than once."""


class MissingFile(ConfigError, FileNotFoundError):
    """A file that a contract demands is not there."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        for key in _twice(keys):
            raise yaml.YAMLError(f"the key {key!r} is given twice, near line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def read_text(path: str | Path, what: str) -> str:
    """A UTF-8 file with its line ends as `\\n`. Raises MissingFile when it is not there; `what` is its part in the contract."""
    if not exists(path):
        raise MissingFile(f"{path}: no such file; wanted {what}")
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_document(path: str | Path, what: str, *, strict: bool = True) -> dict[str, Any]:
    """The mapping that a JSON or YAML file holds. Raises ConfigError; strict also refuses a key that is given twice.

    JSON is tried first, because YAML 1.1 refuses tabs and takes `1e-3` for a word.
    """
    text = read_text(path, what)
    try:
        data = json.loads(text, object_pairs_hook=_unique if strict else None)
    except json.JSONDecodeError:
        data = _read_yaml(text, path, strict)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: wanted a mapping with {what}, found {type(data).__name__}")
    return data


FileT = TypeVar("FileT", bound=Config)


def read_file(kind: type[FileT], path: str | Path, what: str, *, strict: bool = True) -> FileT:
    """A JSON or YAML file as its class. Strict refuses unknown keys; otherwise they are left out, as the published simulator does."""
    data = read_document(path, what, strict=strict)
    return check_config(kind, data if strict else _known(kind, data), path)


def nearest(name: str, names: list[str]) -> str:
    """`; did you mean NAME?`, or nothing when no name is near."""
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _read_yaml(text: str, path: str | Path, strict: bool) -> Any:
    try:
        return (_UniqueKeys if strict else yaml.SafeLoader)(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: neither JSON nor YAML: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key in _twice([key for key, _ in pairs]):
        raise ValueError(f"the key {key!r} is given twice")
    return dict(pairs)


def _twice(keys: list[Any]) -> Iterator[Any]:
    yield from (key for i, key in enumerate(keys) if key in keys[:i])


def _known(kind: type[BaseModel], data: Any) -> Any:
    """The data without the keys that a class and the classes in it do not have."""
    if isinstance(data, list):
        return [_known(kind, value) for value in data]
    if not isinstance(data, dict):
        return data
    kept = {key: value for key, value in data.items() if key in kind.model_fields}
    for name in kept:
        annotation = kind.model_fields[name].annotation
        for inner in (annotation, *get_args(annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                kept[name] = _known(inner, kept[name])
    return kept
