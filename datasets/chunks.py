"""Chunks of work on disk: each is named by what it was made from, and finished once its table of outcomes exists.

A folder holds `chunks/chunk-<index>-<key>.parquet` and what else its chunks wrote. Folders side by side share finished chunks by key: a job
that was killed, or run again after a small change, redoes only what is not there.
"""

from collections.abc import Callable, Sequence

import pyarrow.fs as pafs

from rapport.core import storage


def outcome_path(folder: str, index: int, key: str) -> str:
    """Where the table of a chunk lies, whose existence says that the chunk is finished."""
    return storage.join(folder, "chunks", f"chunk-{index:05d}-{key}.parquet")


def take_over(keys: Sequence[str], folder: str, shard_path: Callable[[str, int], str]) -> list[int]:
    """Indices of the chunks, given the key of each, that nothing has finished.

    Those finished for another folder beside this one have been copied to `folder`; `shard_path(folder, index)` is what a chunk wrote
    besides its table.
    """
    finished = finished_chunks(folder)
    pending = []
    for index, key in enumerate(keys):
        place, earlier = finished.get(key, (None, 0))
        if place is None:
            pending.append(index)
        elif (place, earlier) != (folder, index):
            storage.copy_file(shard_path(place, earlier), shard_path(folder, index))
            storage.copy_file(outcome_path(place, earlier, key), outcome_path(folder, index, key))
    return pending


def finished_chunks(own: str) -> dict[str, tuple[str, int]]:
    """Key of every finished chunk to its folder and index, those of the folder `own` before those of folders beside it."""
    home = own.rstrip("/").rpartition("/")[0]
    fs, inner = storage.resolve(home)
    siblings = fs.get_file_info(pafs.FileSelector(inner, allow_not_found=True))
    names = [i.base_name for i in siblings if i.type == pafs.FileType.Directory]
    finished: dict[str, tuple[str, int]] = {}
    for name in sorted(names, key=lambda n: (storage.join(home, n) == own, n)):
        tables = fs.get_file_info(pafs.FileSelector(storage.join(inner, name, "chunks"), allow_not_found=True))
        for table in (i.base_name for i in tables if i.base_name.endswith(".parquet")):
            _, index, key = table.removesuffix(".parquet").split("-")
            finished[key] = (storage.join(home, name), int(index))
    return finished
