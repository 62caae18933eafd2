"""Prepared corpora as training, evaluation and augmentation read them: canonical rows, and the speech of any row at once.

    corpus = open_prepared(find_prepared(config.storage, "ravdess"))
    samples = corpus.waveform(corpus.rows[0].utterance_id)          # float32 [S], 16 kHz

Shards are mapped, not read: opening costs nothing, and processes on one computer share the pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import pyarrow as pa

from rapport.core import storage
from rapport.core.audio import from_pcm16
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance, from_table
from rapport.datasets.splits import SplitConfig, assign_splits
from rapport.datasets.stages.decode import shard_path


@dataclass(frozen=True)
class PreparedCorpus:
    """One or more prepared corpora. Small enough to send to other processes: it carries rows and places, no speech."""

    name: str
    path: str
    """Its folder; of merged corpora, their folders joined by `+`."""
    rows: list[Utterance]
    places: dict[str, tuple[str, int]] = field(repr=False)
    """Utterance id to the path of its shard and its row there."""
    _mapped: dict[str, pa.Array] = field(default_factory=dict, repr=False, compare=False)

    def waveform(self, utterance_id: str) -> np.ndarray:
        """The speech of one row: float32 [S] in [-1, 1), 16 kHz. The array is the caller's own.

        Raises RapportError for an id that is not in the corpus.
        """
        place = self.places.get(utterance_id)
        if place is None:
            raise RapportError(f"no utterance {utterance_id!r} in {self.name} ({self.path})")
        path, row = place
        return from_pcm16(memoryview(self._shard(path)[row].as_buffer()))

    def split(self, name: str) -> list[Utterance]:
        """The rows of one side: train, validation or test."""
        return [row for row in self.rows if row.split == name]

    def resplit(self, config: SplitConfig) -> "PreparedCorpus":
        """The same speech under another split, such as the next fold: nothing is decoded or written."""
        return PreparedCorpus(self.name, self.path, assign_splits(self.rows, config), self.places)

    def _shard(self, path: str) -> pa.Array:
        if path not in self._mapped:
            with pa.ipc.open_file(pa.memory_map(str(storage.local_copy(path)))) as reader:
                self._mapped[path] = reader.get_batch(0).column("pcm")
        return self._mapped[path]

    def __getstate__(self) -> dict[str, object]:
        # Mapped memory stays in its process; a copy maps the shards again as it needs them.
        return {**self.__dict__, "_mapped": {}}


class Noises(Sequence[np.ndarray]):
    """The recordings of a corpus as a sequence of waveforms, each read when asked for: a hundred hours of noise fit in no memory."""

    def __init__(self, corpus: PreparedCorpus):
        self.corpus = corpus

    def __len__(self) -> int:
        return len(self.corpus.rows)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.corpus.waveform(self.corpus.rows[index].utterance_id)


def open_prepared(path: str) -> PreparedCorpus:
    """The prepared corpus in a folder (path or URI).

    Raises RapportError when there is none or its preparation did not finish.
    """
    name = storage.read_manifest(path)["corpus"]
    table = storage.read_table(storage.join(path, "utterances.parquet"))
    shards = {index: shard_path(path, index) for index in table.column("shard").unique().to_pylist()}
    columns = (table.column(c).to_pylist() for c in ("utterance_id", "shard", "shard_row"))
    places = {utterance_id: (shards[shard], row) for utterance_id, shard, row in zip(*columns, strict=True)}
    return PreparedCorpus(name, str(path), from_table(table), places)


def find_prepared(root: str, name: str) -> str:
    """The folder of the newest finished preparation of a corpus below a storage root.

    Raises RapportError that tells how to prepare it.
    """
    folder = storage.join(root, "corpora", name)
    finished = list(storage.completed(folder))
    if not finished:
        raise RapportError(
            f"no prepared corpus {name!r} below {folder}: run python -m rapport.ray_jobs.prepare_corpus --corpus.name {name} "
            f"--corpus.root <folder> --storage {root}"
        )
    return finished[-1]


def locate_prepared(root: str, chosen: str) -> str:
    """The folder that settings mean: the newest preparation of a name below a storage root, or a folder or URI as given, made absolute.

    Raises RapportError for a corpus that is not prepared.
    """
    if "/" not in chosen and not storage.is_complete(chosen):
        return find_prepared(root, chosen)
    storage.read_manifest(chosen)
    # Workers run in a folder of their own, where a relative path would mean another place.
    return chosen if "://" in chosen else storage.resolve(chosen)[1]


def merge(corpora: Sequence[PreparedCorpus]) -> PreparedCorpus:
    """Several corpora as one, each with the split it was given on its own.

    Raises RapportError when none is given or two hold the same utterance.
    """
    if not corpora:
        raise RapportError("no prepared corpus is given: name at least one")
    places: dict[str, tuple[str, int]] = {}
    for corpus in corpora:
        if both := next((i for i in corpus.places if i in places), None):
            raise RapportError(f"{both} lies in two of the corpora {_joined(c.path for c in corpora)}: name each corpus once")
        places.update(corpus.places)
    rows = [row for corpus in corpora for row in corpus.rows]
    return PreparedCorpus(_joined(c.name for c in corpora), _joined(c.path for c in corpora), rows, places)


def load_noise(prepared: PreparedCorpus) -> Noises:
    """All recordings of a prepared noise corpus, float32 [S] at 16 kHz, as a sequence that reads them as they are asked for."""
    return Noises(prepared)


def _joined(names: Iterable[str]) -> str:
    return "+".join(names)
