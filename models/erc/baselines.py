"""What a language model has to beat: the commonest label, words counted, and the states of a language model that learns nothing.

All read the lines of conversations that carry a label, each by the example id of its question, and answer with a label an id.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer

from rapport.core.conversations import Conversation
from rapport.core.errors import RapportError
from rapport.models.backends.llm.base import quiet
from rapport.models.backends.llm.batches import packed
from rapport.models.erc.model_config import EncoderProbeConfig, TfidfConfig


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """A line with what was said before it."""

    example_id: str
    """`corpus/split/dialogue/turn/erc`."""
    text: str
    history: tuple[str, ...]
    """Lines before it, `Name: words`, the oldest first."""
    label: str


class Baseline(Protocol):
    """Learns from lines, and tells labels of others."""

    def fit(self, lines: Sequence[LabelledLine]) -> Any:
        """Learn; raises RapportError when there is nothing to tell apart."""
        ...

    def predict(self, lines: Sequence[LabelledLine]) -> Mapping[str, str]:
        """Example id to label."""
        ...


def labelled_lines(conversations: Iterable[Conversation], history: int | None = None) -> list[LabelledLine]:
    """Every line that has a label, with at most so many lines before it; None is all of them."""
    found = []
    for talk in conversations:
        before: list[str] = []
        for line in talk.lines:
            if line.label is not None:
                name = f"{talk.corpus}/{talk.split}/{talk.dialogue_id}/{line.turn}/erc"
                kept = before if history is None else before[len(before) - min(history, len(before)) :]
                found.append(LabelledLine(name, line.text, tuple(kept), line.label))
            before.append(f"{line.speaker}: {line.text}")
    return found


class Majority:
    """Always the commonest label of the training side; of equals the first by name."""

    label: str

    def fit(self, lines: Sequence[LabelledLine]) -> "Majority":
        """As `Baseline.fit`."""
        counts = Counter(line.label for line in lines)
        if not counts:
            raise RapportError("there is no line with a label to learn from: the training side is empty")
        self.label = min(counts, key=lambda label: (-counts[label], label))
        return self

    def predict(self, lines: Sequence[LabelledLine]) -> dict[str, str]:
        """As `Baseline.predict`."""
        return {line.example_id: self.label for line in lines}


class Tfidf:
    """Logistic regression on the words of the line, weighed by how rare they are, and on those of the lines before by themselves."""

    def __init__(self, config: TfidfConfig | None = None) -> None:
        self.config = config or TfidfConfig()

    def fit(self, lines: Sequence[LabelledLine]) -> "Tfidf":
        """As `Baseline.fit`."""
        _check_labels(lines)
        config = self.config
        columns = [("line", 0), ("history", 1)] if config.history else [("line", 0)]
        words = [(name, TfidfVectorizer(ngram_range=config.ngrams, min_df=config.min_count, sublinear_tf=True), at) for name, at in columns]
        self._model = Pipeline([("words", ColumnTransformer(words)), ("label", _regression(config.strength, config.balanced))])
        try:
            self._model.fit(self._table(lines), [line.label for line in lines])
        except ValueError as error:
            raise RapportError(
                f"no words are left to learn from {len(lines)} lines: {error}; lower min_count {config.min_count} or give more lines"
            ) from error
        return self

    def predict(self, lines: Sequence[LabelledLine]) -> dict[str, str]:
        """As `Baseline.predict`."""
        if not lines:
            return {}
        return _by_id(lines, self._model.predict(self._table(lines)))

    def _table(self, lines: Sequence[LabelledLine]) -> np.ndarray:
        kept = self.config.history
        return np.array([[line.text, " ".join(line.history[-kept:]) if kept else ""] for line in lines], dtype=object)


class EncoderProbe:
    """Logistic regression on the mean last state of a language model over the tokens of the line; the language model stays as it is."""

    def __init__(self, config: EncoderProbeConfig, device: str = "cpu") -> None:
        """Raises RapportError when the model cannot be loaded."""
        self.config = config
        try:
            with quiet():
                self._tokenizer = AutoTokenizer.from_pretrained(config.source, revision=config.revision)
                loaded: Any = AutoModel.from_pretrained(
                    config.source, revision=config.revision, use_safetensors=True, output_loading_info=True
                )
        except (OSError, ValueError, KeyError) as error:
            raise RapportError(f"cannot load the encoder {config.source!r}: {error}; name a hub id or a folder in source") from error
        network, report = loaded
        # What would be drawn at random; a pooler's output is not read.
        missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
        if missing:
            raise RapportError(f"the encoder {config.source!r} lacks {len(missing)} weights, such as {missing[0]}: name another in source")
        self._network = network.to(device).eval()

    def fit(self, lines: Sequence[LabelledLine]) -> "EncoderProbe":
        """As `Baseline.fit`."""
        _check_labels(lines)
        self._model = make_pipeline(StandardScaler(), _regression(self.config.strength, self.config.balanced))
        self._model.fit(self.states(lines), [line.label for line in lines])
        return self

    def predict(self, lines: Sequence[LabelledLine]) -> dict[str, str]:
        """As `Baseline.predict`."""
        return _by_id(lines, self._model.predict(self.states(lines))) if lines else {}

    @torch.inference_mode()
    def states(self, lines: Sequence[LabelledLine]) -> np.ndarray:
        """float32 [N, D] the mean state of each line, whatever else is in its batch."""
        encoded = [self._encode(line) for line in lines]
        lengths = [len(ids) for ids, _ in encoded]
        means = np.zeros((len(lines), self._network.config.hidden_size), np.float32)
        device = self._network.device
        for batch in packed(lengths, extra=[0] * len(lines), batch_tokens=self.config.batch_tokens, batch_rows=256):
            width = max(lengths[i] for i in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.int64)
            read, mean = torch.zeros_like(ids), torch.zeros(len(batch), width)
            for row, index in enumerate(batch):
                found, own = encoded[index]
                ids[row, : len(found)], read[row, : len(found)] = torch.tensor(found), 1
                mean[row, : len(found)] = torch.tensor(own)
            output = self._network(input_ids=ids.to(device), attention_mask=read.to(device)).last_hidden_state
            weights = (mean / mean.sum(1, keepdim=True)).to(device)
            means[batch] = torch.einsum("bn,bnd->bd", weights, output.float()).cpu().numpy()
        return means

    def _encode(self, line: LabelledLine) -> tuple[list[int], list[float]]:
        """Ids with the special tokens of the model around them, and 1 for those of the line itself."""
        tokenizer, kept = self._tokenizer, self.config.history
        before = tokenizer(" ".join(line.history[-kept:]) + " ", add_special_tokens=False)["input_ids"] if kept and line.history else []
        own = tokenizer(line.text, add_special_tokens=False)["input_ids"] or [tokenizer.unk_token_id or 0]
        first, last = self._around()
        room = max(1, self.config.max_tokens - len(first) - len(last))
        own = own[-room:]
        before = before[max(0, len(before) - (room - len(own))) :]
        return [*first, *before, *own, *last], [0.0] * (len(first) + len(before)) + [1.0] * len(own) + [0.0] * len(last)

    def _around(self) -> tuple[list[int], list[int]]:
        """The special tokens that the tokenizer puts before and after a text."""
        plain = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self._tokenizer("a")["input_ids"]
        start = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
        return whole[:start], whole[start + len(plain) :]


def _regression(strength: float, balanced: bool) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced" if balanced else None, max_iter=1000)


def _check_labels(lines: Sequence[LabelledLine]) -> None:
    labels = {line.label for line in lines}
    if len(labels) < 2:
        raise RapportError(f"the lines to learn from have the labels {sorted(labels)}: wanted at least two")


def _by_id(lines: Sequence[LabelledLine], labels: Iterable[Any]) -> dict[str, str]:
    return {line.example_id: str(label) for line, label in zip(lines, labels, strict=True)}
