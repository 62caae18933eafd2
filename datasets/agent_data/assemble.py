"""From finished chunks to finished folders: tables, quarantine, manifest. The same plan gives the same bytes."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.pictures import PICTURES
from rapport.datasets.agent_data.speech import CLIPS
from rapport.datasets.agent_data.store import CLIPS_TABLE, KIND, PICTURES_TABLE, QUARANTINE_TABLE, UNITS_KIND
from rapport.datasets.agent_data.units import CLIPS_WITH_UNITS
from rapport.datasets.agent_data.work import FORMAT, Row

QUARANTINE = pa.schema([pa.field(name, pa.string(), nullable=name != "path") for name in ("path", "reason", "message")])


def finish_recordings(
    folder: str, pictures: Sequence[Row], clips: Sequence[Row], facts: Mapping[str, Any], max_quarantined_fraction: float
) -> None:
    """Write the tables of pictures and clips, and the manifest, which carries `facts`.

    Raises RapportError when more than that fraction cannot be used; the tables are there then, the manifest is not.
    """
    _write(storage.join(folder, PICTURES_TABLE), _good(pictures), PICTURES)
    _write(storage.join(folder, CLIPS_TABLE), _good(clips), CLIPS)
    reasons = _quarantine(folder, [*pictures, *clips], max_quarantined_fraction)
    sides = Counter(("pictures", row["side"]) for row in _good(pictures)) + Counter(("clips", row["side"]) for row in _good(clips))
    counts: dict[str, dict[str, int]] = {"pictures": {}, "clips": {}}
    for (what, side), count in sorted(sides.items()):
        counts[what][side] = count
    storage.sweep(folder, before_s=time.time())
    storage.finish(folder, {"kind": KIND, "format": FORMAT, **facts, "counts": counts, "quarantined": reasons})


def finish_units(
    folder: str, clips: Sequence[Row], encoded: Sequence[Row], facts: Mapping[str, Any], max_quarantined_fraction: float
) -> None:
    """Write the table of `clips` with their units (those `encoded` by path), and the manifest, which carries `facts`.

    Raises RapportError when more than that fraction has no units; the tables are there then, the manifest is not.
    """
    units = {row["path"]: row["units"] for row in _good(encoded)}
    rows = [{**clip, "units": units[clip["path"]]} for clip in clips if clip["path"] in units]
    _write(storage.join(folder, CLIPS_TABLE), rows, CLIPS_WITH_UNITS)
    reasons = _quarantine(folder, encoded, max_quarantined_fraction)
    lengths = [len(row["units"]) for row in rows]
    counts = {"clips": len(rows), "units": sum(lengths), "longest": max(lengths, default=0)}
    storage.finish(folder, {"kind": UNITS_KIND, "format": FORMAT, **facts, "counts": counts, "quarantined": reasons})


def _quarantine(folder: str, rows: Sequence[Row], most: float) -> dict[str, int]:
    """How many files cannot be used, by reason, once they are written down."""
    bad = [row for row in rows if row["reason"] is not None]
    path = storage.join(folder, QUARANTINE_TABLE)
    _write(path, bad, QUARANTINE)
    reasons = dict(sorted(Counter(str(row["reason"]) for row in bad).items()))
    if len(bad) > most * len(rows):
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise RapportError(
            f"{len(bad)} of {len(rows)} files cannot be used ({listed}), more than max_quarantined_fraction {most:g} allows; "
            f"they are named in {path}, the first: {bad[0]['path']}: {bad[0]['message']}"
        )
    return reasons


def _good(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["reason"] is None]


def _write(path: str, rows: Sequence[Row], schema: pa.Schema) -> None:
    storage.write_table(path, pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema))
