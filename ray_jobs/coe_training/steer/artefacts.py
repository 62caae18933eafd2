"""The files of the rounds of self-taught reasoning: written once, hashed, and chained round to round.

models/round_00/            what training on memory 0 gave
rollouts/round_00.jsonl     every answer that it wrote to the pool, and what became of it
validation/round_00.jsonl   its answers to lines of validation
memory/round_01.jsonl       the memory with what was accepted; round 00 is the seeds
pool/round_01.jsonl         what is still unsolved, empty when nothing is; round 00 is the whole pool
rounds/round_00.json        figures, sha256 of all of these, and the seal of the round before; written last
training/, parts/           runs and answers of the round under way
"""

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.training_runs.run_folder import absolute

_PIECE = 2**22
"""Bytes that are hashed at a time."""


class StageFiles:
    """Where everything of a stage lies."""

    def __init__(self, folder: str) -> None:
        self.folder = absolute(folder).rstrip("/")

    def model(self, number: int) -> str:
        """Folder of the model that round `number` trains."""
        return storage.join(self.folder, "models", _name(number))

    def rollouts(self, number: int) -> str:
        """What the model of that round answered to the pool."""
        return self._file("rollouts", number)

    def validation(self, number: int) -> str:
        """What it answered to lines of validation."""
        return self._file("validation", number)

    def memory(self, number: int) -> str:
        """What that round trains on."""
        return self._file("memory", number)

    def pool(self, number: int) -> str:
        """What is unsolved before that round."""
        return self._file("pool", number)

    def record(self, number: int) -> str:
        """What is known of that round when it is over."""
        return storage.join(self.folder, "rounds", f"{_name(number)}.json")

    def training(self, number: int) -> str:
        """Run folder of that round's training."""
        return storage.join(self.folder, "training", _name(number))

    def parts(self, number: int) -> str:
        """Answers that are there before all are."""
        return storage.join(self.folder, "parts", _name(number))

    def _file(self, kind: str, number: int) -> str:
        return storage.join(self.folder, kind, f"{_name(number)}.jsonl")


def file_hash(path: str) -> str:
    """sha256 of a file, which may be larger than memory."""
    digest = hashlib.sha256()
    fs, inner = storage.resolve(path)
    with fs.open_input_stream(inner, compression=None) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def seal_round(files: StageFiles, number: int, paths: list[str], figures: Mapping[str, Any], before: str) -> dict[str, Any]:
    """Write down that a round is over: its figures, and hashes of its files and of all files in its folders; gives the record."""
    found = [file for path in paths for file in (storage.list_files(path) if storage.is_folder(path) else [path])]
    artefacts = {file.removeprefix(f"{files.folder}/"): file_hash(file) for file in found}
    # Through JSON, so that it is now what it will be when it is read.
    record: dict[str, Any] = json.loads(json.dumps({"round": number, **figures, "before": before, "artefacts": artefacts}))
    record["seal"] = _seal(record)
    storage.write_json(files.record(number), record)
    return record


def sealed_rounds(files: StageFiles, before: str) -> list[dict[str, Any]]:
    """Records of the rounds that are over, in order.

    `before` is what the first one follows. Raises RapportError that names a file which is not what its round wrote.
    """
    rounds: list[dict[str, Any]] = []
    while storage.exists(path := files.record(len(rounds))):
        record = storage.read_json(path)
        if record.get("seal") != _seal(record) or record["before"] != before:
            raise _changed(path, len(rounds))
        for name, wanted in record["artefacts"].items():
            file = storage.join(files.folder, name)
            if not storage.exists(file) or file_hash(file) != wanted:
                raise _changed(file, len(rounds))
        rounds.append(record)
        before = record["seal"]
    return rounds


@contextmanager
def told_full_disk(folder: str) -> Iterator[None]:
    """While this lasts, a disk that is full is a RapportError: what was finished is whole, and the rest is done by the next run."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RapportError) or not _is_full(error):
            raise
        raise RapportError(
            f"no space is left for {folder}: what is finished there is whole. Make room, or move everything to another --storage, and run "
            "again: it goes on from there"
        ) from error


def _is_full(error: BaseException | None, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a full disk or quota is at the bottom of an error, which Ray may have wrapped."""
    if error is None or id(error) in seen:
        return False
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    inner = [getattr(error, name, None) for name in ("cause", "__cause__")]
    inner += list(getattr(error, "worker_failures", {}).values())
    return any(_is_full(one, seen | {id(error)}) for one in inner if isinstance(one, BaseException))


def _name(number: int) -> str:
    return f"round_{number:02d}"


def _seal(record: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in record.items() if k != "seal"}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _changed(path: str, number: int) -> RapportError:
    return RapportError(
        f"{path} is not what round {number} wrote: what a round has finished is never changed, as the rounds after it are made from it. "
        "Put the file back, or begin anew with --fresh"
    )
