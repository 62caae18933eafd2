"""What a model learned from other builds than the one that it is asked about: sides are disjoint within a build, not between two."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rapport.core import storage
from rapport.core.examples import STAGES, Example
from rapport.datasets.emosds.examples import LEAKS, read_examples
from rapport.datasets.emosds.splits import leaks

# Not dialogues: their numbers begin anew in every file of them.
_KINDS = ("speakers", "sentences", "recordings")


def overlap_warnings(model: str, trained_on: Mapping[str, int], data: str, asked: Sequence[Example]) -> list[str]:
    """A warning for each build that a model, told by `model`, was trained on and that holds something of `asked`, examples of `data`.

    `trained_on` names the folders of builds and the last stage that was trained on each. A build with the key of `data` has its content,
    wherever it lies, and is passed over.
    """
    others = {folder: stage for folder, stage in trained_on.items() if posixpath.basename(folder) != posixpath.basename(data)}
    return [found for folder, stage in others.items() if (found := _warning(model, folder, stage, data, asked))]


def _warning(model: str, folder: str, stage: int, data: str, asked: Sequence[Example]) -> str | None:
    if not _readable(folder):
        return f"{model} was trained on {folder}, which cannot be read here: whether it shares speakers with {data} is not known"
    trained = [row for earlier in STAGES if earlier <= stage for row in read_examples(folder, earlier, "train")]
    rows = [*(replace(row, split="train") for row in trained), *(replace(row, split="test") for row in asked)]
    fixed = {name for build in (folder, data) for name in storage.read_json(storage.join(build, LEAKS))["fixed_sentences"]}
    report = leaks(rows, fixed)
    told = ", ".join(f"{report[kind]['shared_count']} {kind}" for kind in _KINDS if report[kind]["shared_count"])
    return f"{model} was trained on {told} of these in {folder}, another build than {data}: this flatters every figure" if told else None


def _readable(folder: str) -> bool:
    try:
        return storage.is_complete(folder)
    except (OSError, ValueError):  # a model that comes from elsewhere may name a store that this machine has no key or client for
        return False
