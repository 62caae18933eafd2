"""Figures of free-running answers: transcript, emotions and reply, each with an interval by speaker.

    tally = AnswerTally(emotions)
    tally.add(pairs)                         # as often as wanted: what is kept does not grow with the number of answers
    report = tally.report()

Rates (errors, F1, malformed, ROUGE-L, METEOR, BERTScore) are shares, 0 to 1; BLEU and chrF run from 0 to 100, as they are quoted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError
from rapport.training.metrics import LEVEL, FloatArray, with_intervals
from rapport.training.text_scores import (
    Bleu,
    Chrf,
    Emotions,
    Rate,
    Score,
    character_error_rate,
    english_normaliser,
    meteor,
    rouge_l,
    word_error_rate,
)

_BINS = 2000
LOWER_IS_BETTER = ("wer", "wer_normalised", "cer", "cer_normalised", "malformed")


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """What was wanted and what was given. A field that is not wanted (None) is not scored."""

    answer_id: str
    speaker_id: str | None
    text: str
    emotion: str | None = None
    reply_emotion: str | None = None
    reply_text: str | None = None
    given_text: str | None = None
    given_emotion: str | None = None
    given_reply_emotion: str | None = None
    given_reply_text: str | None = None
    malformed: str | None = None
    """How the answer departs from its form; None when it does not."""


class AnswerTally:
    """Sums over answers, by speaker and, in at most 2000 bins, by answer."""

    def __init__(
        self,
        emotions: Sequence[str],
        *,
        normalise: Callable[[str], str] | None = None,
        bert_score: Score | None = None,
    ):
        """`normalise` is Whisper's for English unless given; `bert_score` is left out unless given."""
        normalise = normalise or english_normaliser()
        self._transcript: dict[str, Score] = {
            "wer": word_error_rate(),
            "wer_normalised": word_error_rate(normalise),
            "cer": character_error_rate(),
            "cer_normalised": character_error_rate(normalise),
        }
        self._reply: dict[str, Score] = {"bleu": Bleu(), "chrf": Chrf(), "rouge_l": rouge_l(), "meteor": meteor()}
        if bert_score is not None:
            self._reply["bert_score"] = bert_score
        self._emotions = Emotions(emotions)
        self._rates = {"malformed": Rate(lambda wanted, given: (float(bool(given)), 1.0))}
        self._parts: dict[str, Any] = {
            **self._rates,
            **self._transcript,
            "emotion": self._emotions,
            "reply_emotion": self._emotions,
            **self._reply,
        }
        edges = np.cumsum([0, *(part.width for part in self._parts.values())]).tolist()
        self._places = {name: slice(low, high) for name, low, high in zip(self._parts, edges, edges[1:], strict=False)}
        self._width = edges[-1]
        self._by_speaker: dict[str, FloatArray] = {}
        self._by_bin: dict[int, FloatArray] = {}
        self._reasons: Counter[str] = Counter()
        self._nameless = 0
        self.count = 0

    def add(self, pairs: Sequence[AnswerPair]) -> None:
        """Count these answers in.

        Raises RapportError for a wanted emotion that is not among the emotions.
        """
        rows = self._statistics(pairs)
        for pair, row in zip(pairs, rows, strict=True):
            self._nameless += pair.speaker_id is None
            bins = crc32(pair.answer_id.encode()) % _BINS
            for table, key in ((self._by_speaker, pair.speaker_id or ""), (self._by_bin, bins)):
                table[key] = table[key] + row if key in table else row  # type: ignore[index]
        self._reasons.update(pair.malformed for pair in pairs if pair.malformed)
        self.count += len(pairs)

    def report(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
        """`count`, `figures` (name to value, low, high), `confusions` of both emotions, `malformed_reasons`, and how intervals were made.

        Speakers are what is drawn again, as answers to one speaker are alike; with fewer than two known speakers, bins of answers are.
        """
        unit = self._unit
        _, sums = self._units(unit)
        total = sums.sum(0)
        confusions = {name: self._confusion(total[self._places[name]]) for name in ("emotion", "reply_emotion")}
        return {
            "count": self.count,
            "figures": with_intervals(sums, self._figures, resamples, seed),
            "confusions": {name: found for name, found in confusions.items() if found},
            "malformed_reasons": dict(self._reasons.most_common()),
            "interval": {"level": LEVEL, "unit": unit, "units": len(sums), "resamples": resamples},
        }

    def minus(self, other: "AnswerTally", *, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, float]]:
        """Each figure less that of other answers to the same questions, with the interval of the difference: the same speakers are drawn
        for both, so that what is hard for both does not blur it.

        Raises ValueError when the two answer other questions.
        """
        unit = self._unit
        (names, mine), (others, theirs) = self._units(unit), other._units(unit)
        if names != others or self._width != other._width or self.count != other.count:
            raise ValueError(f"{self.count} answers and {other.count} to other questions cannot be compared")

        def differences(sums: FloatArray) -> dict[str, FloatArray]:
            first, second = self._figures(sums[..., : self._width]), self._figures(sums[..., self._width :])
            return {name: first[name] - second[name] for name in first}

        return with_intervals(np.concatenate([mine, theirs], axis=1), differences, resamples, seed)

    @property
    def _unit(self) -> str:
        return "speaker" if len(self._by_speaker) > 1 and not self._nameless else "answer"

    def _units(self, unit: str) -> tuple[list[Any], FloatArray]:
        """What is drawn again, and the sums of each [U, K], in an order that does not depend on that of the answers."""
        table: Mapping[Any, FloatArray] = self._by_speaker if unit == "speaker" else self._by_bin
        names = sorted(table)
        return names, np.stack([table[name] for name in names]) if names else np.zeros((0, self._width))

    def _statistics(self, pairs: Sequence[AnswerPair]) -> FloatArray:
        """[N, K] what each answer contributes to every score; zeros where a field is not wanted."""
        rows = np.zeros((len(pairs), self._width))
        for name, part in self._parts.items():
            wanted_given = [self._texts(name, pair) for pair in pairs]
            some = [i for i, (wanted, _) in enumerate(wanted_given) if wanted is not None]
            if some:
                wanted, given = zip(*(wanted_given[i] for i in some), strict=True)
                rows[some, self._places[name]] = part.statistics(wanted, given)
        return rows

    def _texts(self, name: str, pair: AnswerPair) -> tuple[str | None, str | None]:
        """The wanted and the given text that a score compares."""
        if name in self._rates:
            return "", pair.malformed or ""
        if name in self._transcript:
            return pair.text, pair.given_text or ""
        if name in self._reply:
            return pair.reply_text, pair.given_reply_text or ""
        wanted, given = (pair.emotion, pair.given_emotion) if name == "emotion" else (pair.reply_emotion, pair.given_reply_emotion)
        if wanted is not None and wanted not in self._emotions.labels:
            raise RapportError(f"{pair.answer_id} is {wanted}, which is none of {', '.join(self._emotions.labels)}")
        return wanted, given

    def _figures(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Every figure [...] of every sum in [..., K]; NaN where it is undefined."""
        found: dict[str, FloatArray] = {}
        for name, part in self._parts.items():
            scores = part.scores(sums[..., self._places[name]])
            if isinstance(scores, dict):
                found |= {f"{name}_{kind}": value for kind, value in scores.items()}
            else:
                found[name] = scores
        return found

    def _confusion(self, sums: FloatArray) -> dict[str, Any] | None:
        """`labels` and counts [E, E + 1], the last column for none of them; None when no emotion was wanted."""
        if not sums.any():
            return None
        counts: npt.NDArray[np.int64] = self._emotions.confusion(sums)
        return {"labels": list(self._emotions.labels), "counts": counts.tolist()}
