"""Scores of written answers, as sums over answers: any set of them, such as a resampled one, is scored by adding up what each contributes.

`statistics(wanted, given)` gives [N, K] for N pairs of texts; `scores(sums)` turns sums [..., K] into figures [...]. Everything here works
offline: spelling variants (the normaliser) and synonyms (METEOR) would want files that are not in the packages, and are not used.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import jiwer
import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.training.metrics import FloatArray

Texts = Sequence[str]


class Score(Protocol):
    """One score of pairs of texts."""

    width: int
    """K, the number of sums."""

    def statistics(self, wanted: Texts, given: Texts) -> FloatArray:
        """[N, K] what each pair contributes."""
        ...

    def scores(self, sums: FloatArray) -> FloatArray:
        """[...] the figure of every sum in [..., K]; NaN where it is undefined."""
        ...


class Rate:
    """A sum over a sum, such as errors over words."""

    width = 2

    def __init__(self, counts: Callable[[str, str], tuple[float, float]]):
        self._counts = counts

    def statistics(self, wanted: Texts, given: Texts) -> FloatArray:
        """[N, 2] numerator and denominator."""
        return np.array([self._counts(w, g) for w, g in zip(wanted, given, strict=True)], dtype=np.float64).reshape(-1, 2)

    def scores(self, sums: FloatArray) -> FloatArray:
        """Their ratio."""
        return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] > 0)


def word_error_rate(normalise: Callable[[str], str] = str) -> Rate:
    """Substituted, left out and added words over words; 0 is best, and more than 1 is possible."""

    def counts(wanted: str, given: str) -> tuple[float, float]:
        found = jiwer.process_words(normalise(wanted), normalise(given))
        missed = found.substitutions + found.deletions
        return missed + found.insertions, found.hits + missed

    return Rate(counts)


def character_error_rate(normalise: Callable[[str], str] = str) -> Rate:
    """The same over characters."""

    def counts(wanted: str, given: str) -> tuple[float, float]:
        found = jiwer.process_characters(normalise(wanted), normalise(given))
        missed = found.substitutions + found.deletions
        return missed + found.insertions, found.hits + missed

    return Rate(counts)


@cache
def english_normaliser() -> Callable[[str], str]:
    """Whisper's normaliser of English (case, punctuation, contractions, numerals, titles), without its table of spelling variants."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normaliser = EnglishTextNormalizer({})
    return lambda text: str(normaliser(text)).strip()


class Bleu:
    """Corpus BLEU of sacrebleu (13a, mixed case, exponential smoothing), 0 to 100."""

    width = 10

    def __init__(self) -> None:
        from sacrebleu.metrics.bleu import BLEU

        self._bleu = BLEU(effective_order=True)  # of a sentence only the counts are used, and no warning is wanted
        self._compute = BLEU.compute_bleu

    def statistics(self, wanted: Texts, given: Texts) -> FloatArray:
        """[N, 10] length of the answer and of the reference, matches of 1 to 4 words, and n-grams of 1 to 4 words."""
        parts = [self._bleu.sentence_score(g, [w]) for w, g in zip(wanted, given, strict=True)]
        return np.array([[p.sys_len, p.ref_len, *p.counts, *p.totals] for p in parts], dtype=np.float64).reshape(-1, self.width)

    def scores(self, sums: FloatArray) -> FloatArray:
        """Corpus BLEU."""

        def one(row: FloatArray) -> float:
            given, wanted, *counts = [round(value) for value in row.tolist()]
            return float(self._compute(counts[:4], counts[4:], given, wanted, smooth_method="exp").score) if wanted else float("nan")

        return np.apply_along_axis(one, -1, sums)


class Chrf:
    """Corpus chrF2 of sacrebleu, 0 to 100."""

    width = 18

    def __init__(self) -> None:
        from sacrebleu.metrics.chrf import CHRF

        self._chrf: Any = CHRF()

    def statistics(self, wanted: Texts, given: Texts) -> FloatArray:
        """[N, 18] for 1 to 6 characters: n-grams of the answer, of the reference, and of both."""
        if not wanted:
            return np.zeros((0, self.width))
        return np.array(self._chrf._extract_corpus_statistics(list(given), [list(wanted)]), dtype=np.float64)

    def scores(self, sums: FloatArray) -> FloatArray:
        """Corpus chrF2."""

        def one(row: FloatArray) -> float:
            return float(self._chrf._compute_f_score(list(row))) if row[1::3].any() else float("nan")

        return np.apply_along_axis(one, -1, sums)


def rouge_l() -> Rate:
    """Mean F-measure of the longest common subsequence of stemmed words (rouge-score), 0 to 1."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return Rate(lambda wanted, given: (float(scorer.score(wanted, given)["rougeL"].fmeasure), 1.0))


def meteor() -> Rate:
    """Mean METEOR (nltk), 0 to 1, matching words that are equal or have the same stem; without WordNet, so synonyms do not match."""
    from nltk.translate.meteor_score import single_meteor_score

    def counts(wanted: str, given: str) -> tuple[float, float]:
        return float(single_meteor_score(_words(wanted), _words(given), wordnet=_NoSynonyms())), 1.0

    return Rate(counts)


class BertScore(Rate):
    """Mean BERTScore F1 (bert-score, not rescaled) by one layer, counted from 1, of an encoder in a folder; at most 1.

    Raises RapportError when the folder holds no safetensors (other weights are pickles, which can run code) or has no such layer.
    """

    def __init__(self, model: str, layer: int, device: str = "cpu"):
        from bert_score import BERTScorer
        from transformers import AutoConfig

        folder = storage.local_copy(model)
        if not list(folder.glob("*.safetensors")):
            raise RapportError(f"no safetensors in {model}: BERTScore wants the folder of an encoder saved with save_pretrained")
        config = AutoConfig.from_pretrained(folder)
        if not 1 <= layer <= config.num_hidden_layers:
            raise RapportError(f"BERTScore by layer {layer}: {model} has layers 1 to {config.num_hidden_layers}")
        self._scorer: Any = BERTScorer(model_type=str(folder), num_layers=layer, device=device)
        # A tokenizer saved without its length says 10^30, which the library hands on as it is. RoBERTa counts positions from 2.
        tokenizer = self._scorer._tokenizer
        tokenizer.model_max_length = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", 514) - 2)

    def statistics(self, wanted: Texts, given: Texts) -> FloatArray:
        """[N, 2] F1 and 1; an empty text is like no other."""
        sums = np.stack([np.zeros(len(wanted)), np.ones(len(wanted))], axis=1)
        some = [i for i, (w, g) in enumerate(zip(wanted, given, strict=True)) if w.strip() and g.strip()]
        if some:
            sums[some, 0] = self._scorer.score([given[i] for i in some], [wanted[i] for i in some])[2].numpy()
        return sums


class Emotions:
    """F1 of emotions: `weighted` by how often each is wanted, and `macro`, the mean over those that are wanted.

    A given emotion that is not among `labels`, or is missing, is a miss of the wanted one and a hit of none.
    """

    def __init__(self, labels: Sequence[str]):
        self.labels = tuple(labels)
        self.width = len(labels) * (len(labels) + 1)

    def statistics(self, wanted: Texts, given: Sequence[str | None]) -> FloatArray:
        """[N, E * (E + 1)] a one at the wanted (row) and given (column) emotion; the last column is none of them."""
        columns = {label: i for i, label in enumerate(self.labels)}
        counts = np.zeros((len(wanted), self.width))
        for n, (w, g) in enumerate(zip(wanted, given, strict=True)):
            counts[n, columns[w] * (len(self.labels) + 1) + columns.get(g or "", len(self.labels))] = 1
        return counts

    def confusion(self, sums: FloatArray) -> npt.NDArray[np.int64]:
        """[E, E + 1] how often each emotion was called which; the last column is none of them."""
        return sums.reshape(len(self.labels), len(self.labels) + 1).astype(np.int64)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`weighted_f1`, `macro_f1` and `accuracy` of every confusion in [..., E * (E + 1)]."""
        counts = sums.reshape(*sums.shape[:-1], len(self.labels), len(self.labels) + 1)
        right = np.diagonal(counts, axis1=-2, axis2=-1)
        support, called = counts.sum(-1), counts[..., :-1].sum(-2)
        present = support > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(present, 2 * right / (support + called), 0.0)
            return {
                "weighted_f1": (f1 * support).sum(-1) / support.sum(-1),
                "macro_f1": f1.sum(-1) / present.sum(-1),
                "accuracy": right.sum(-1) / support.sum(-1),
            }


class _NoSynonyms:
    """A WordNet without entries: nltk's own is a download."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text)
