"""Figures of predicted head motion, each with an interval by group of turns.

    tally = MotionTally(frame_rate_hz=30)
    tally.add(pairs)                         # as often as wanted: what is kept does not grow with the number of turns
    report = tally.report()
    report["figures"]["offset_removed_mae_deg"]          # {"value": ..., "low": ..., "high": ...}

What each figure is, its class says: errors (`motion_accuracy`), correlation, lags and spectra (`motion_timing`), nods (`motion_nods`),
amount and manner of motion (`motion_plausibility`). The published procedure, which is another, is in `motion_published`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from rapport.training.metrics import LEVEL, FloatArray, with_intervals
from rapport.training.motion_accuracy import PoseErrors, RateErrors
from rapport.training.motion_nods import Nods
from rapport.training.motion_pairs import MotionPair, MotionScore, usable
from rapport.training.motion_plausibility import MotionWindows, RateDistributions, Spread
from rapport.training.motion_timing import Correlations, SpeakerLags, Spectra

_BINS = 500


class MotionTally:
    """Sums over turns, by group and, in at most 500 bins, by turn."""

    def __init__(self, frame_rate_hz: float, speaker: Sequence[str] = ()):
        """`speaker` names the signals of the speaker that every turn has, such as `loudness`: lags and latencies are measured to each."""
        self._frame_rate_hz = frame_rate_hz
        self._correlations = Correlations(frame_rate_hz)
        self._spectra = Spectra(frame_rate_hz)
        self._parts: dict[str, MotionScore] = {
            "errors": PoseErrors(),
            "rate_errors": RateErrors(frame_rate_hz),
            "correlations": self._correlations,
            "speaker_lags": SpeakerLags(speaker, frame_rate_hz),
            "spectra": self._spectra,
            "nods": Nods(speaker, frame_rate_hz),
            "spread": Spread(),
            "rates": RateDistributions(frame_rate_hz),
            "windows": MotionWindows(frame_rate_hz),
        }
        edges = np.cumsum([0, *(part.width for part in self._parts.values())]).tolist()
        self._places = {name: slice(low, high) for name, low, high in zip(self._parts, edges, edges[1:], strict=False)}
        self._width = edges[-1]
        self._by_group: dict[str, FloatArray] = {}
        self._by_bin: dict[int, FloatArray] = {}
        self._nameless = 0
        self.counts = {"turns": 0, "frames": 0, "unscored_turns": 0, "unscored_frames": 0, "prediction_frames_not_finite": 0}

    def add(self, pairs: Sequence[MotionPair]) -> None:
        """Count these turns in. Of a turn with frames that are not finite, the longest stretch without any is scored; one that leaves fewer
        than four frames is not. `report` tells how many there were, and how many were the prediction's fault.

        Raises KeyError for a turn without one of the speaker's signals.
        """
        for pair in pairs:
            scored = usable(pair)
            frames = 0 if scored is None else len(scored.truth)
            self.counts["turns" if frames else "unscored_turns"] += 1
            self.counts["frames"] += frames
            self.counts["unscored_frames"] += len(pair.truth) - frames
            at_fault = np.isfinite(pair.truth).all(1) & ~np.isfinite(pair.prediction).all(1)
            self.counts["prediction_frames_not_finite"] += int(at_fault.sum())
            if scored is None:
                continue
            row = np.concatenate([part.statistics(scored) for part in self._parts.values()])
            self._nameless += pair.group is None
            for table, key in ((self._by_group, pair.group or ""), (self._by_bin, crc32(pair.turn_id.encode()) % _BINS)):
                table[key] = table[key] + row if key in table else row  # type: ignore[index]

    def report(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
        """The counts; `figures` (name to value, low, high); `per_group`, the figures of each group; `curves` to draw, `lags` and `spectra`;
        and how the `interval` was made. Of folds, which hold several groups each, `figures_of` tells.

        Groups are what is drawn again, as turns of one are alike; with fewer than two known groups, bins of turns are. A figure that is
        undefined, such as the frequency of nods where there are none, is left out.
        """
        names, sums = self._units()
        total = sums.sum(0)
        per_group = {} if self._unit == "turn" else {name: self._defined(row) for name, row in zip(names, sums, strict=True)}
        return {
            **self.counts,
            "seconds": self.counts["frames"] / self._frame_rate_hz,
            "figures": with_intervals(sums, self._figures, resamples, seed),
            "per_group": per_group,
            "curves": {
                "lags": self._correlations.curves(total[self._places["correlations"]]),
                "spectra": self._spectra.curves(total[self._places["spectra"]]),
            },
            "interval": {"level": LEVEL, "unit": self._unit, "units": len(sums), "resamples": resamples},
        }

    def figures_of(self, groups: Collection[str]) -> dict[str, float]:
        """The figures of the turns of these groups alone, of a fold for instance, as far as they are defined."""
        rows = [row for name, row in self._by_group.items() if name in groups]
        return self._defined(np.sum(rows, axis=0)) if rows else {}

    def minus(self, other: "MotionTally", *, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, float]]:
        """Each figure less that of other predictions of the same turns, with the interval of the difference: the same groups are drawn for
        both, so that what is hard for both does not blur it. Figures that are undefined for either are left out.

        Raises ValueError when the two tell of other turns.
        """
        (names, mine), (others, theirs) = self._units(), other._units()
        if names != others or self._width != other._width or self.counts["frames"] != other.counts["frames"]:
            seen = [f"{tally.counts['frames']} frames of {tally.counts['turns']} turns" for tally in (self, other)]
            raise ValueError(f"{seen[0]} and {seen[1]} cannot be compared: wanted the same turns, all scored")

        def differences(sums: FloatArray) -> Mapping[str, FloatArray]:
            first, second = self._figures(sums[..., : self._width]), self._figures(sums[..., self._width :])
            return {name: first[name] - second[name] for name in first}

        return with_intervals(np.concatenate([mine, theirs], axis=1), differences, resamples, seed)

    @property
    def _unit(self) -> str:
        return "group" if len(self._by_group) > 1 and not self._nameless else "turn"

    def _units(self) -> tuple[list[Any], FloatArray]:
        """What is drawn again, and the sums of each [U, K], in an order that does not depend on that of the turns."""
        table: Mapping[Any, FloatArray] = self._by_group if self._unit == "group" else self._by_bin
        names = sorted(table)
        return names, np.stack([table[name] for name in names]) if names else np.zeros((0, self._width))

    def _figures(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Every figure [...] of every sum in [..., K]; NaN where it is undefined."""
        found: dict[str, FloatArray] = {}
        for name, part in self._parts.items():
            found |= part.scores(sums[..., self._places[name]])
        return found

    def _defined(self, sums: FloatArray) -> dict[str, float]:
        return {name: float(value) for name, value in self._figures(sums).items() if not np.isnan(value)}
