"""Whether a listener hears how something is said: the two variants of a scenario have the same words after the same history by the same
speaker, and differ in emotion alone. Who does not hear it answers both alike, and gets at most one of the two right.

    tally = ContrastTally()
    tally.add("17", pair)                    # one variant at a time; another of the scenario by the same speaker completes a pair
    report = tally.report()                  # None without a pair
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np

from rapport.training.metrics import FloatArray, with_intervals
from rapport.training.text_metrics import AnswerPair
from rapport.training.text_scores import Chrf

_BINS = 2000
FIGURES = ("heard", "reply_follows_emotion", "reply_text_follows")
_WIDTH = 2 * len(FIGURES)


class ContrastTally:
    """Sums over pairs of variants, by speaker and, in at most 2000 bins, by scenario."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str | None], deque[AnswerPair]] = defaultdict(deque)
        self._by_speaker: dict[str | None, FloatArray] = {}
        self._by_bin: dict[int, FloatArray] = {}
        self._chrf = Chrf()

    def add(self, scenario: str, pair: AnswerPair) -> None:
        """Count one answer to a variant in. It is paired with the first that waits of another emotion: two of the same are no contrast."""
        waiting = self._waiting[scenario, pair.speaker_id]  # all of one emotion, as others were paired
        if not waiting or waiting[0].emotion == pair.emotion:
            waiting.append(pair)
            return
        row = self._row(waiting.popleft(), pair)
        for table, unit in ((self._by_speaker, pair.speaker_id), (self._by_bin, crc32(scenario.encode()) % _BINS)):
            table[unit] = table[unit] + row if unit in table else row  # type: ignore[index]

    def report(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any] | None:
        """How many `pairs` there are, and how many whose replies are to differ in emotion (`differ`) and in words (`differ_in_text`); then
        the shares of pairs with both answers right, with intervals:

        `heard`                  of all pairs, by the user's emotion
        `reply_follows_emotion`  of those that are to differ in emotion, by the reply's emotion
        `reply_text_follows`     of those that are to differ in words: each reply is more like (chrF) its own than like the other wanted one

        Speakers are what is drawn again; with fewer than two known speakers, bins of scenarios are.
        """
        if not self._by_speaker:
            return None
        _, sums = self._units()
        counts = [round(count) for count in sums.sum(0)[1::2].tolist()]
        found = dict(zip(("pairs", "differ", "differ_in_text"), counts, strict=True))
        return {**found, **with_intervals(sums, _shares, resamples, seed)}

    def minus(self, other: "ContrastTally", *, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, float]]:
        """Each figure less that of other answers to the same pairs, with the interval of the difference; empty without a pair.

        Raises ValueError when the two answer other questions.
        """
        if not self._by_speaker and not other._by_speaker:
            return {}
        (names, mine), (others, theirs) = self._units(), other._units()
        if names != others or (mine[:, 1::2] != theirs[:, 1::2]).any():
            raise ValueError(f"{len(names)} and {len(others)} groups of pairs cannot be compared: they are not the same")

        def differences(sums: FloatArray) -> dict[str, FloatArray]:
            first, second = _shares(sums[..., :_WIDTH]), _shares(sums[..., _WIDTH:])
            return {name: first[name] - second[name] for name in first}

        return with_intervals(np.concatenate([mine, theirs], axis=1), differences, resamples, seed)

    def _units(self) -> tuple[list[Any], FloatArray]:
        """What is drawn again, and the sums of each [U, 6]."""
        table: Mapping[Any, FloatArray] = self._by_speaker if len(self._by_speaker) > 1 and None not in self._by_speaker else self._by_bin
        names = sorted(table)
        return names, np.stack([table[name] for name in names]) if names else np.zeros((0, _WIDTH))

    def _row(self, first: AnswerPair, second: AnswerPair) -> FloatArray:
        """[6] for each figure whether the pair is right, and whether it counts."""
        both = (first, second)
        differ = first.reply_emotion != second.reply_emotion
        in_text = None not in (first.reply_text, second.reply_text) and first.reply_text != second.reply_text
        return np.array(
            [
                all(p.given_emotion == p.emotion for p in both),
                True,
                differ and all(p.given_reply_emotion == p.reply_emotion for p in both),
                differ,
                in_text and self._closer(first, second) and self._closer(second, first),
                in_text,
            ],
            dtype=np.float64,
        )

    def _closer(self, pair: AnswerPair, other: AnswerPair) -> bool:
        """Whether a reply is more like the wanted one than like that of the other variant."""
        given = pair.given_reply_text or ""
        own, others = self._chrf.scores(self._chrf.statistics([pair.reply_text or "", other.reply_text or ""], [given, given]))
        return bool(own > others)


def _shares(sums: FloatArray) -> dict[str, FloatArray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: sums[..., 2 * i] / sums[..., 2 * i + 1] for i, name in enumerate(FIGURES)}
