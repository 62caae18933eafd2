"""Syllables in frames of a speech encoder: the exact minimum cut of their self-similarity.

Frames of one syllable resemble each other more than their neighbours. Of all ways to cut T frames into N stretches, the one with the least
sum of normalised cuts is found by dynamic programming; then neighbours that are too alike are joined, the most alike first. (As in
S5-HuBERT: Komatsu & Shinozaki, SLT 2024, after Peng et al., Interspeech 2023.) Plain numpy. Axes: T frames, D width, N stretches.
"""

import itertools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

_NEVER_NEGATIVE = 1e-7


def syllables(
    frames: Floats, *, frame_s: float = 0.02, syllable_s: float = 0.2, join_above: float = 0.3, longest_frames: int = 50
) -> list[tuple[int, int]]:
    """(first, last + 1) of each syllable of frames [T, D], in order; together they cover all frames.

    There are at first as many as fit in at `syllable_s` each, none longer than `longest_frames`; neighbours whose means have a cosine of
    `join_above` or more are then joined, down to two.
    """
    if not len(frames):
        return []
    count = max(math.ceil(len(frames) * frame_s / syllable_s), math.ceil(len(frames) / longest_frames))
    exact = np.asarray(frames, np.float64)
    similarity = exact @ exact.T
    edges = minimum_cut(similarity - similarity.min() + _NEVER_NEGATIVE, min(count, len(frames)), longest_frames)
    return _join(exact, list(itertools.pairwise(edges)), join_above)


def minimum_cut(similarity: npt.NDArray[np.float64], count: int, longest: int) -> list[int]:
    """The `count` + 1 edges, 0 and T among them, of the cheapest stretches, none longer than `longest`, of a similarity [T, T] above 0."""
    size = len(similarity)
    costs = _cut_costs(similarity)
    best = np.full((size + 1, count + 1), np.inf)  # of the first t frames in n stretches
    before = np.zeros((size + 1, count + 1), np.int64)  # where the last of these begins
    best[0, 0] = 0
    for end in range(1, size + 1):
        first = max(0, end - longest)
        sums = best[first:end, :-1] + costs[first:end, end, None]
        choice = sums.argmin(0)
        before[end, 1:] = choice + first
        best[end, 1:] = sums[choice, np.arange(count)]
    edges = [size]
    for number in range(count, 0, -1):
        edges.append(int(before[edges[-1], number]))
    return edges[::-1]


def _cut_costs(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[T, T + 1] the normalised cut of each stretch from one frame up to before another: what it has in common with all others, over that
    and half of what it has within."""
    size = len(similarity)
    sums = np.zeros((size + 1, size + 1))
    sums[1:, 1:] = similarity.cumsum(0).cumsum(1)
    corner = np.diag(sums)
    start, end = np.arange(size)[:, None], np.arange(size + 1)[None, :]
    within = corner[end] - 2 * sums[start, end] + corner[start]
    crossing = sums[-1][end] - sums[-1][start] - within
    costs = np.full((size, size + 1), np.inf)
    forward = end > start
    costs[forward] = crossing[forward] / (crossing[forward] + within[forward] / 2)
    return costs


def _join(frames: npt.NDArray[np.float64], pairs: list[tuple[int, int]], above: float) -> list[tuple[int, int]]:
    while len(pairs) >= 3:
        means = np.stack([frames[first:last].mean(0) for first, last in pairs])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        likeness = (means[:-1] * means[1:]).sum(1)
        place = int(likeness.argmax())
        if likeness[place] < above:
            break
        pairs[place : place + 2] = [(pairs[place][0], pairs[place + 1][1])]
    return pairs
