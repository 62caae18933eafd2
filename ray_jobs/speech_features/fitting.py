"""Fit a codebook: which speech, its frames by the extraction of features, and passes of k-means over their shards as Ray tasks.

The state after each pass lies beside the codebook to be; a job that was killed goes on from there and ends with the same centroids.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, load_file, save

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.feature_store import shard_path
from rapport.datasets.features import FeaturePlan
from rapport.datasets.prepared import PreparedCorpus
from rapport.models.units.codebook import METADATA
from rapport.models.units.config import KMeansConfig
from rapport.models.units.kmeans import MiniBatch, Statistics, choose_start, full_step, merge, statistics

_STATE = "state.safetensors"
# Fixed, so that the result does not depend on how many workers there are.
_SHARDS_PER_TASK = 4


def codebook_folder(root: str, name: str) -> str:
    """Where the codebook of a name lies below a storage root."""
    folder = storage.join(root, "features", "units", name)
    return folder if "://" in folder else storage.resolve(folder)[1]


def locate_codebook(root: str, chosen: str) -> str:
    """The folder that settings mean: a name below the storage root, or a folder or URI as given, made absolute.

    Raises RapportError when there is no codebook.
    """
    named = codebook_folder(root, chosen)
    if "/" not in chosen and storage.exists(storage.join(named, METADATA)):
        return named
    if not storage.exists(storage.join(chosen, METADATA)):
        raise RapportError(
            f"no codebook {chosen!r}, neither as a folder nor below {root}: fit one with python -m rapport.ray_jobs.fit_units "
            f"--name {chosen} --storage {root}"
        )
    return chosen if "://" in chosen else storage.resolve(chosen)[1]


def draw_speech(corpora: Sequence[PreparedCorpus], sides: Sequence[str], most_s: float, seed: int) -> list[list[str]]:
    """Ids of each corpus's rows that are fitted: drawn from all rows of the sides together, until `most_s` seconds are reached.

    Raises RapportError when the sides are empty.
    """
    rows = [(which, row) for which, corpus in enumerate(corpora) for row in corpus.rows if row.split in sides]
    if not rows:
        raise RapportError(f"no row of {', '.join(c.name for c in corpora)} is on the sides {', '.join(sides)}: set sides or corpora")
    drawn: list[list[str]] = [[] for _ in corpora]
    total_s = 0.0
    for index in np.random.default_rng(seed).permutation(len(rows)):
        if total_s >= most_s:
            break
        which, row = rows[index]
        drawn[which].append(row.utterance_id)
        total_s += row.duration_s or 0.0
    return drawn


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit that ended."""

    centroids: npt.NDArray[np.float32]
    """[K, D]"""
    found: Statistics
    """Of all frames, under these centroids."""
    history: list[dict[str, Any]]
    """`kind` and `mean_distance` of each pass."""


def fit_centroids(plans: Sequence[FeaturePlan], config: KMeansConfig, seed: int, folder: str, key: str, tell: Callable[[str], None]) -> Fit:
    """The centroids of the frames that the plans have made. Ray must be initialised.

    The state lies in `folder` under a key that stands for frames and settings; a state of another key is not taken up.
    """
    paths = [shard_path(plan.folder, chunk.index) for plan in plans for chunk in plan.chunks]
    state = _read_state(folder, key)
    if state is None:
        start = choose_start(_sample(paths, plans, config.start_frames, seed), config.clusters, seed)
        state = _State(start, np.zeros(config.clusters, np.int64), [])
        tell(f"{config.clusters} centroids to start from")
    for number in range(len(state.history), config.mini_batch_passes):
        batches = MiniBatch(state.centroids, state.seen)
        parts = []
        order = np.random.default_rng([seed, number]).permutation(len(paths)).tolist()
        for begin in range(0, len(order), _SHARDS_PER_TASK):
            # One shard a task: a step is as quick as its slowest part.
            parts.append(_over([[paths[i]] for i in order[begin : begin + _SHARDS_PER_TASK]], batches.centroids))
            batches.step(parts[-1])
        state.centroids, state.seen = batches.centroids, batches.seen
        _next(state, "mini_batch", merge(parts), folder, key, tell)
    groups = [paths[i : i + _SHARDS_PER_TASK] for i in range(0, len(paths), _SHARDS_PER_TASK)]
    while True:
        found = _over(groups, state.centroids)
        full = [entry["mean_distance"] for entry in state.history if entry["kind"] == "full"]
        settled = bool(full) and full[-1] - found.mean_distance < config.tolerance * full[-1]
        if len(full) >= config.full_passes or settled:
            return Fit(state.centroids, found, [*state.history, {"kind": "end", "mean_distance": found.mean_distance}])
        state.centroids = full_step(state.centroids, found)
        _next(state, "full", found, folder, key, tell)


def forget_state(folder: str) -> None:
    """Remove what an unfinished fit left."""
    storage.remove(storage.join(folder, _STATE))


@dataclass
class _State:
    centroids: npt.NDArray[np.float32]
    seen: npt.NDArray[np.int64]
    history: list[dict[str, Any]]


def _next(state: _State, kind: str, found: Statistics, folder: str, key: str, tell: Callable[[str], None]) -> None:
    state.history.append({"kind": kind, "mean_distance": found.mean_distance})
    facts = {"state": json.dumps({"key": key, "history": state.history})}
    data = save({"centroids": state.centroids, "seen": state.seen}, metadata=facts)
    storage.write_bytes(storage.join(folder, _STATE), data)
    tell(f"pass {len(state.history)} ({kind}): mean squared distance {found.mean_distance:.4g}")


def _read_state(folder: str, key: str) -> _State | None:
    path = storage.join(folder, _STATE)
    if not storage.exists(path):
        return None
    data = storage.read_bytes(path)
    size = int.from_bytes(data[:8], "little")
    facts = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["state"])
    if facts["key"] != key:
        return None
    tensors = load(data)
    return _State(tensors["centroids"], tensors["seen"], facts["history"])


def _over(groups: Sequence[Sequence[str]], centroids: npt.NDArray[np.float32]) -> Statistics:
    """The statistics of all groups of shards, merged in order."""
    if len(groups) == 1:  # no task is as quick as none
        return _statistics_of(list(groups[0]), centroids)
    import ray

    shared = ray.put(centroids)
    task = ray.remote(_statistics_of)
    return merge(ray.get([task.remote(list(group), shared) for group in groups]))


def _statistics_of(paths: list[str], centroids: npt.NDArray[np.float32]) -> Statistics:
    return merge([statistics(_frames(path), centroids) for path in paths])


def _sample(paths: Sequence[str], plans: Sequence[FeaturePlan], wanted: int, seed: int) -> npt.NDArray[np.float32]:
    """About so many frames [T, D], drawn evenly from all shards."""
    import ray

    total = sum(storage.read_manifest(plan.folder)["counts"]["frames"] for plan in plans)
    task = ray.remote(_draw)
    share = min(1.0, wanted / max(total, 1))
    return together(ray.get([task.remote(path, share, [seed, index]) for index, path in enumerate(paths)]), total, wanted)


def together(parts: Sequence[npt.NDArray[np.float32]], total: int, wanted: int) -> npt.NDArray[np.float32]:
    """The frames [T, D] that were drawn from each shard, of `total` frames in all; a shard may have none, of whatever width.

    Raises RapportError when all have none.
    """
    some = [part for part in parts if len(part)]
    if not some:
        raise RapportError(
            f"of {total} frames none was drawn to start from: give more speech (corpora, sides, kmeans.max_speech_s), "
            f"or raise kmeans.start_frames, which is {wanted}"
        )
    return np.concatenate(some)


def _draw(path: str, share: float, seed: list[int]) -> npt.NDArray[np.float32]:
    frames = _frames(path)
    chosen = np.random.default_rng(seed).permutation(len(frames))[: round(share * len(frames))]
    return frames[np.sort(chosen)]


def _frames(path: str) -> npt.NDArray[np.float32]:
    tensors = load_file(storage.local_copy(path))
    # A shard whose clips were all refused does not tell how wide frames are.
    frames: npt.NDArray[np.float32] = tensors["frames"] if "frames" in tensors else np.zeros((0, 1), np.float32)
    return frames
