"""The tokens that speech adds to a vocabulary, in a fixed order that is saved with the model.

    stage 1   <0> ... <K-1>, <sosp>, <eosp>
    stage 2   <residual>, then one tag an emotion
    stage 3   "user: ", "EmoSDS: "

All are added before stage 1, in this order, so that ids are the same as when each stage adds its own, and no stage changes the size
of the embeddings. They are ordinary added tokens rather than special ones: decoding keeps them. Padding has a token of its own: the
one that the tokenizer reserves for it, else `<|pad|>`, which comes after all others.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rapport.core.errors import RapportError
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.emosds.answer import RESIDUAL, SYSTEM_LABEL, TAGS, USER_LABEL
from rapport.models.units.sequence import BEGIN, END


class TokenError(RapportError):
    """A tokenizer that does not hold the tokens that the model was made with."""


def speech_tokens(clusters: int, emotions: Sequence[str], stage: int = 3) -> list[str]:
    """The added tokens up to a stage, in order."""
    tokens = [f"<{unit}>" for unit in range(clusters)] + [BEGIN, END]
    if stage >= 2:
        tokens += [RESIDUAL, *(TAGS[emotion] for emotion in emotions)]
    if stage >= 3:
        tokens += [USER_LABEL, SYSTEM_LABEL]
    return tokens


def add_tokens(tokenizer: Any, tokens: Sequence[str]) -> int:
    """Add those of the tokens that the tokenizer lacks, in order; returns its new size."""
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens if token not in known])
    return len(tokenizer)


@dataclass(frozen=True)
class Manifest:
    """Which id each added token has, and which ids begin, end and pad a sequence."""

    tokens: Mapping[str, int]
    """Added token to id, in the order in which they were added."""
    bos: int | None
    """Begins every sequence; None where the tokenizer has none."""
    eos: int
    pad: int
    size: int
    """Length of the vocabulary, added tokens included."""
    clusters: int
    emotions: tuple[str, ...]
    vocabulary: str
    """sha256 over every piece of text and its id: two vocabularies of one size may still be two."""

    @cached_property
    def units(self) -> np.ndarray:
        """int64 [K] the id of every unit."""
        return np.array([self.tokens[f"<{unit}>"] for unit in range(self.clusters)], dtype=np.int64)

    @cached_property
    def tags(self) -> tuple[int, ...]:
        """The ids of the tags, in the order of `emotions`."""
        return tuple(self.tokens[TAGS[emotion]] for emotion in self.emotions)

    @cached_property
    def speech(self) -> tuple[int, int]:
        """The ids around a sequence of units."""
        return self.tokens[BEGIN], self.tokens[END]

    @property
    def residual(self) -> int:
        """The id of the slot for a residual."""
        return self.tokens[RESIDUAL]

    @property
    def system(self) -> int:
        """The id of the label before a reply."""
        return self.tokens[SYSTEM_LABEL]

    @cached_property
    def hash(self) -> str:
        """sha256 over everything here."""
        return _sha256(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """What `tokens.json` holds."""
        return {
            "tokens": [[token, index] for token, index in self.tokens.items()],
            "bos": self.bos,
            "eos": self.eos,
            "pad": self.pad,
            "size": self.size,
            "clusters": self.clusters,
            "emotions": list(self.emotions),
            "vocabulary": self.vocabulary,
        }


def extend_tokenizer(tokenizer: Any, clusters: int, emotions: Sequence[str]) -> Manifest:
    """Add what is missing to the tokenizer, and say where everything is.

    Raises TokenError when the tokenizer has no token to end an answer with.
    """
    if tokenizer.eos_token_id is None:
        raise TokenError("the tokenizer has no eos_token, which ends an answer: choose another base model")
    tokens = speech_tokens(clusters, emotions)
    add_tokens(tokenizer, tokens)
    pad = ensure_pad(tokenizer)
    ids = {token: int(index) for token, index in zip(tokens, tokenizer.convert_tokens_to_ids(tokens), strict=True)}
    digest = _sha256(sorted(tokenizer.get_vocab().items()))
    return Manifest(ids, tokenizer.bos_token_id, int(tokenizer.eos_token_id), pad, len(tokenizer), clusters, tuple(emotions), digest)


def check_manifest(saved: Mapping[str, Any], tokenizer: Any, clusters: int, emotions: Sequence[str], source: object) -> Manifest:
    """The manifest of a saved tokenizer, after comparing it with the one that was saved beside it.

    Raises TokenError naming the first difference.
    """
    size = len(tokenizer)
    found = extend_tokenizer(tokenizer, clusters, emotions)
    if found.size != size:
        raise TokenError(
            f"the tokenizer in {source} lacks {found.size - size} of the added tokens: it is not the one the model was saved with"
        )
    now, then = found.to_json(), dict(saved)
    for field, value in now.items():
        if value != then.get(field):
            pairs = zip(value, then.get(field) or (), strict=False) if isinstance(value, list) else [(value, then.get(field))]
            here, there = next(((a, b) for a, b in pairs if a != b), (value, then.get(field)))
            raise TokenError(f"{source}: tokens.json says {field} {there}, and the tokenizer {here}: they were not saved together")
    return found


def plain_text_pattern(tokenizer: Any, manifest: Manifest) -> re.Pattern[str]:
    """Matches every token in free text that would be read as a mark of the system rather than as words.

    Labels are matched without their last space, which what follows the text would supply.
    """
    units = re.compile(r"<\d+>")
    marks = {t.rstrip(" ") for t in manifest.tokens if not units.fullmatch(t)} | set(tokenizer.all_special_tokens)
    return re.compile("|".join([units.pattern, *(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))]))


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
