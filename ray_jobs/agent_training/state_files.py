"""Nested state as two files: its shape and numbers as JSON, its arrays as safetensors. No pickle."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from torch import Tensor

from rapport.core import storage
from rapport.core.errors import RapportError

ARRAYS, SHAPE = "state.safetensors", "state.json"
_ARRAY, _MAP, _TUPLE = "array", "map", "tuple"


def write_state(folder: str, state: Mapping[str, Any]) -> None:
    """Write dictionaries, lists, tuples, numbers, texts, arrays and tensors; `state.json` comes last, so a folder that has one is complete.

    Raises RapportError for a value of another kind.
    """
    arrays: dict[str, np.ndarray] = {}
    shape = _flatten(state, arrays, "state")
    storage.write_bytes(storage.join(folder, ARRAYS), safetensors.numpy.save(arrays))
    storage.write_bytes(storage.join(folder, SHAPE), json.dumps(shape).encode())


def read_state(folder: str) -> dict[str, Any]:
    """What `write_state` wrote; tensors come back as arrays. Raises RapportError when the folder is not complete."""
    if not storage.exists(storage.join(folder, SHAPE)):
        raise RapportError(f"{folder} holds no finished checkpoint: wanted {SHAPE} and {ARRAYS} in it")
    arrays = safetensors.numpy.load(storage.read_bytes(storage.join(folder, ARRAYS)))
    state: dict[str, Any] = _restore(storage.read_json(storage.join(folder, SHAPE)), arrays)
    return state


def _flatten(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """JSON for a value; containers that JSON does not know are {"tuple": ...} and {"map": pairs}, an array is {"array": its name}."""
    if isinstance(value, Mapping):
        return {_MAP: [[key, _flatten(inner, arrays, f"{path}.{key}")] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        items = [_flatten(inner, arrays, f"{path}.{i}") for i, inner in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value).reshape(np.shape(value))
        return {_ARRAY: name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise RapportError(f"{path} is {type(value).__name__}: a checkpoint holds numbers, texts, arrays and containers of them")


def _restore(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_restore(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == _ARRAY:
        return arrays[inner]
    if kind == _TUPLE:
        return tuple(_restore(each, arrays) for each in inner)
    return {key: _restore(each, arrays) for key, each in inner}
