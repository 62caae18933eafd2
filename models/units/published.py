"""The centroids of a published codebook, read out of a joblib file without running anything in it.

Such a file is a pickle, a program for a small stack machine that may call any function. Here its instructions are read with `pickletools`
and followed on paper: a call is noted down, never made, and a file that names anything but k-means of scikit-learn and arrays is refused.
Axes: K clusters, D width.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import pickletools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError

_KMEANS = {f"sklearn.cluster.{module} {name}" for module in ("_kmeans", "k_means_") for name in ("KMeans", "MiniBatchKMeans")}
_ARRAY, _DTYPE, _WRAPPER = "numpy ndarray", "numpy dtype", "joblib.numpy_pickle NumpyArrayWrapper"
_RECONSTRUCT = {f"numpy.{core}.multiarray _reconstruct" for core in ("core", "_core")}
_FROM_BUFFER = {f"numpy.{core}.numeric _frombuffer" for core in ("core", "_core")}
_KNOWN = (
    _KMEANS
    | {_ARRAY, _DTYPE, _WRAPPER}
    | _RECONSTRUCT
    | {f"numpy.{core}.multiarray scalar" for core in ("core", "_core")}
    | _FROM_BUFFER
    | {"copyreg _reconstructor", "builtins object", "__builtin__ object"}
    # The state of a random generator, which MiniBatchKMeans keeps.
    | {"numpy.random._pickle __randomstate_ctor", "numpy.random._pickle __bit_generator_ctor"}
    | {"numpy.random.mtrand RandomState", "numpy.random._mt19937 MT19937"}
)
_COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x78": zlib.decompress,
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ": lzma.decompress,
}


class PublishedError(RapportError):
    """A published codebook that cannot be taken over."""


@dataclass(slots=True)
class _Global:
    """A name that the file mentions, which is never looked up."""

    name: str


@dataclass(slots=True)
class _Object:
    """What a call would have made."""

    maker: _Global
    arguments: Any
    state: Any = None
    values: npt.NDArray[Any] | None = field(default=None, repr=False)


_MARK = object()


def read_published(path: str | Path) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """The centroids [K, D] of a KMeans or MiniBatchKMeans that joblib or pickle saved, and what is known of them.

    Raises PublishedError for a file that holds anything else, or names anything that such a file has no use for.
    """
    data = storage.read_bytes(path)
    origin = {"published": Path(str(path)).name, "published_sha256": hashlib.sha256(data).hexdigest()}
    for magic, unpack in _COMPRESSED.items():
        if data.startswith(magic):
            data = unpack(data)
    try:
        found = _Reader(data, str(path)).read()
    except PublishedError:
        raise
    except Exception as error:  # a file that is no pickle fails in every way there is
        raise PublishedError(f"{path} cannot be read as a pickle: {type(error).__name__}: {error}") from error
    if not isinstance(found, _Object) or found.maker.name not in _KMEANS or not isinstance(found.state, dict):
        what = found.maker.name if isinstance(found, _Object) else type(found).__name__
        raise PublishedError(f"{path} holds {what}: wanted a fitted KMeans or MiniBatchKMeans of scikit-learn")
    centroids = _array(found.state.get("cluster_centers_"))
    if centroids is None or centroids.ndim != 2 or not np.issubdtype(centroids.dtype, np.floating) or not np.isfinite(centroids).all():
        raise PublishedError(f"{path} holds a k-means model without centroids: its cluster_centers_ is no finite matrix")
    facts = {"class": found.maker.name, "sklearn": str(found.state.get("_sklearn_version", ""))}
    return centroids.astype(np.float32), {**origin, **facts}


def _array(value: Any) -> npt.NDArray[Any] | None:
    return value.values if isinstance(value, _Object) else None


class _Reader:
    """Follows a pickle's instructions over notes instead of objects."""

    def __init__(self, data: bytes, path: str) -> None:
        self.file, self.path = io.BytesIO(data), path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """What the pickle would have made."""
        # Instructions come one at a time, so that the raw arrays which joblib puts between them can be taken out of the stream.
        for code, argument, _ in pickletools.genops(self.file):
            if code.name == "STOP":
                return self.stack.pop()
            self._follow(code.name, argument)
        raise PublishedError(f"{self.path} ends in the middle of a pickle")

    def _follow(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name == "POP":
            self.stack.pop()
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument)
        elif name in ("NEWOBJ", "REDUCE"):
            arguments, maker = self.stack.pop(), self.stack.pop()
            self.stack.append(self._call(maker, arguments))
        elif name == "BUILD":
            self._build()
        else:
            self._collect(name)

    def _name(self, argument: str | None) -> None:
        if argument is None:
            attribute, module = self.stack.pop(), self.stack.pop()
            argument = f"{module} {attribute}"
        if argument not in _KNOWN:
            raise PublishedError(f"{self.path} names {argument.replace(' ', '.')}, which a k-means model has no use for; nothing was run")
        self.stack.append(_Global(argument))

    def _call(self, maker: Any, arguments: Any) -> _Object:
        if not isinstance(maker, _Global) or not isinstance(arguments, tuple):
            raise PublishedError(f"{self.path} calls something that is no name; nothing was run")
        if maker.name == "copyreg _reconstructor":  # protocol 1 says `object` in a roundabout way
            maker, arguments = arguments[0], ()
        if maker.name in _FROM_BUFFER:  # protocol 5
            raw, dtype, shape, order = arguments
            values = np.frombuffer(raw, _dtype(dtype, self.path)).reshape(shape, order="F" if order == "F" else "C")
            return _Object(_Global(_ARRAY), (), values=values)
        return _Object(maker, arguments)

    def _collect(self, name: str) -> None:
        """Instructions that put values into a container."""
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name == "APPEND":
            value = self.stack.pop()
            self.stack[-1].append(value)
        elif name == "SETITEM":
            value, key = self.stack.pop(), self.stack.pop()
            self.stack[-1][key] = value
        elif name in ("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"):
            items = self._since_mark()
            pairs = dict(zip(items[::2], items[1::2], strict=True)) if name in ("DICT", "SETITEMS") else {}
            if name == "APPENDS":
                self.stack[-1].extend(items)
            elif name == "SETITEMS":
                self.stack[-1].update(pairs)
            else:
                self.stack.append({"TUPLE": tuple(items), "LIST": items, "DICT": pairs}[name])
        else:
            raise PublishedError(f"{self.path} has the instruction {name}, which a k-means model has no use for; nothing was run")

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (top := self.stack.pop()) is not _MARK:
            items.append(top)
        return items[::-1]

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Object):
            raise PublishedError(f"{self.path} gives a state to something that was not made; nothing was run")
        target.state = state
        if target.maker.name == _WRAPPER:
            self.stack[-1] = _Object(_Global(_ARRAY), (), values=self._joblib_array(state))
        elif target.maker.name in _RECONSTRUCT:
            _, shape, dtype, fortran, raw = state
            kind = _dtype(dtype, self.path)
            if isinstance(raw, bytes):  # protocols without bytes spell them as text, which no array of ours is
                target.values = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")

    def _joblib_array(self, state: dict[str, Any]) -> npt.NDArray[Any]:
        """The array whose bytes follow the instruction that was read last."""
        kind, shape = _dtype(state["dtype"], self.path), tuple(int(n) for n in state["shape"])
        if state.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        raw = self.file.read(size)
        if len(raw) < size:
            raise PublishedError(f"{self.path} is cut short: an array wants {size} bytes, {len(raw)} are left")
        return np.frombuffer(raw, kind).reshape(shape, order=state["order"])


_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def _dtype(noted: Any, path: str) -> np.dtype[Any]:
    """The type of an array, of plain numbers only: `dtype("f8", ...)` with its byte order in the state."""
    if not isinstance(noted, _Object) or noted.maker.name != _DTYPE or not noted.arguments:
        raise PublishedError(f"{path} has an array without a type")
    name, order = str(noted.arguments[0]), str(noted.state[1]) if noted.state else "|"
    if name[:1] not in "iufb" or not name[1:].isdigit():
        raise PublishedError(f"{path} has an array of type {name!r}: wanted numbers")
    return np.dtype((order if order in ("<", ">") else "=") + name)
