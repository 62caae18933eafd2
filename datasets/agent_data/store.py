"""An agent's pretraining data on disk, as training reads it.

    data = open_agent_data(config.storage, "cafe")
    for caption in data.captions("train"): ...            # a picture, and the units of one utterance that goes with it
    image_paths, audio_paths = data.published_paths()     # as published trainers are given them

A folder `<root>/agent_data/<name>/<key>` holds the files of `layout.py`, `pictures.parquet`, `clips.parquet`, `quarantine.parquet` and a
manifest; below it `units/<key>` holds `clips.parquet` once more, with the units of one encoder.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.layout import CLEAN, SIDES

KIND = "agent data"
UNITS_KIND = "agent data units"
PICTURES_TABLE, CLIPS_TABLE, QUARANTINE_TABLE = "pictures.parquet", "clips.parquet", "quarantine.parquet"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an item."""

    path: str
    item_id: int
    number: int
    """j, among the pictures of the item."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """An utterance about an item."""

    path: str
    """Of a 16-bit WAV file at 22,050 Hz."""
    item_id: int
    pattern: int
    """i, which utterance of the item."""
    text: str
    voice: str
    number: int | None
    """j of the picture with which it goes; None when clean."""
    units: npt.NDArray[np.int32] | None
    """[U]; None as long as none were made."""


@dataclass(frozen=True, slots=True, eq=False)
class Caption:
    """A picture, and one utterance that goes with it."""

    picture: str
    """Path of the picture."""
    item_id: int
    pattern: int
    units: npt.NDArray[np.int32]
    """[U]"""


class AgentData:
    """One set of pretraining data. Tables are read when they are first asked for."""

    def __init__(self, folder: str, units_folder: str | None = None) -> None:
        """Raises RapportError when a folder was not finished, or is something else."""
        self.folder = folder.rstrip("/")
        self.units_folder = units_folder.rstrip("/") if units_folder else None
        self.manifest: Mapping[str, Any] = _read_manifest(self.folder, KIND)
        self.units_manifest: Mapping[str, Any] | None = _read_manifest(self.units_folder, UNITS_KIND) if self.units_folder else None

    def items(self) -> dict[int, str]:
        """Names of the items by id, as the task writes them."""
        return {int(item["id"]): str(item["name"]) for item in self.manifest["items"]}

    def held_out(self) -> set[int]:
        """Ids of the items that only the test side has."""
        return set(self.manifest["held_out_items"])

    def pictures(self, side: str) -> list[Picture]:
        """The pictures of a side, by item and number. Raises RapportError for an unknown side."""
        return self._pictures[_check(side, SIDES)]

    def clips(self, side: str) -> list[Clip]:
        """The clips with noise of a side, or the clean ones of `clean`; by item, number and pattern."""
        return self._clips[_check(side, (*SIDES, CLEAN))]

    def captions(self, side: str) -> list[Caption]:
        """Each picture of a side with each of its utterances.

        Raises RapportError when no units were made.
        """
        if self.units_folder is None:
            raise RapportError(f"{self.folder} has no units yet: prepare the data with an encoder of units")
        return [
            Caption(picture.path, picture.item_id, clip.pattern, clip.units)
            for picture in self.pictures(side)
            for clip in self._by_picture[picture.item_id, picture.number]
            if clip.units is not None
        ]

    def published_paths(self) -> tuple[dict[str, list[Path]], dict[str, list[list[Path]]]]:
        """Pictures by side in the order of their paths, and for each the clips that go with it, as published trainers take them.

        A picture that lacks a clip is left out, so that both lists stay aligned. Data in an object store is copied to this computer.
        """
        home = storage.local_copy(self.folder)
        pictures: dict[str, list[Path]] = {}
        clips: dict[str, list[list[Path]]] = {}
        for side in SIDES:
            rows = [(picture, self._by_picture[picture.item_id, picture.number]) for picture in self._pictures[side]]
            most = max((len(own) for _, own in rows), default=0)
            whole = sorted((row for row in rows if len(row[1]) == most), key=lambda row: PurePosixPath(row[0].path))
            pictures[side] = [home / self._inner(picture.path) for picture, _ in whole]
            clips[side] = [[home / self._inner(clip.path) for clip in own] for _, own in whole]
        return pictures, clips

    def _inner(self, path: str) -> str:
        return path[len(self.folder) + 1 :]

    @cached_property
    def _pictures(self) -> dict[str, list[Picture]]:
        found: dict[str, list[Picture]] = {side: [] for side in SIDES}
        for row in storage.read_table(storage.join(self.folder, PICTURES_TABLE)).to_pylist():
            found[row["side"]].append(Picture(storage.join(self.folder, row["path"]), row["item_id"], row["number"]))
        return found

    @cached_property
    def _clips(self) -> dict[str, list[Clip]]:
        table = storage.read_table(storage.join(self.units_folder or self.folder, CLIPS_TABLE))
        found: dict[str, list[Clip]] = {side: [] for side in (*SIDES, CLEAN)}
        for row in table.to_pylist():
            units = None if row.get("units") is None else np.asarray(row["units"], np.int32)
            path = storage.join(self.folder, row["path"])
            found[row["side"]].append(Clip(path, row["item_id"], row["pattern"], row["text"], row["voice"], row["number"], units))
        return found

    @cached_property
    def _by_picture(self) -> Mapping[tuple[int, int], Sequence[Clip]]:
        found: dict[tuple[int, int], list[Clip]] = defaultdict(list)
        for side in SIDES:
            for clip in self._clips[side]:
                if clip.number is not None:
                    found[clip.item_id, clip.number].append(clip)
        return found


def open_agent_data(root: str, name: str) -> AgentData:
    """The newest finished data of a name below a storage root, with its newest units; or that in a folder, which `name` may be too.

    Raises RapportError when there is none.
    """
    if "/" in name:
        return AgentData(_absolute(name), newest_units(_absolute(name)))
    home = _absolute(storage.join(root, "agent_data", name))
    finished = list(storage.completed(home))
    if not finished:
        raise RapportError(f"no pretraining data of {name!r} in {home}: prepare some, or set storage and the name to where it lies")
    return AgentData(finished[-1], newest_units(finished[-1]))


def newest_units(folder: str) -> str | None:
    """The newest finished units of data in a folder, or None."""
    finished = list(storage.completed(storage.join(folder, "units")))
    return finished[-1] if finished else None


def _absolute(path: str) -> str:
    return path.rstrip("/") if "://" in path else storage.resolve(path)[1]


def _check(side: str, known: Sequence[str]) -> str:
    if side not in known:
        raise RapportError(f"no side {side!r}: wanted one of {', '.join(known)}")
    return side


def _read_manifest(folder: str, kind: str) -> dict[str, Any]:
    manifest = storage.read_manifest(folder)
    if manifest.get("kind") != kind:
        raise RapportError(f"{folder} holds {manifest.get('kind')!r}, wanted {kind}")
    return manifest
