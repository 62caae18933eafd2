"""What may come next in an answer, token by token: tags in their places and nowhere else, words in between, and an end.

    stage 1   words EOS
    stage 2   tag words EOS
    stage 3   tag words LABEL tag words EOS

Axes: B batch, V vocabulary.
"""

from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from rapport.models.emosds.tokens import Manifest

# Byte-level and sentence-piece vocabularies write space, newline, tab and return so.
_SPACES = " \n\t\rĠĊĉč▁"
_SHORTEST_REPLY = 5
"""Tokens: label, tag, space, word, end."""


class Kind(IntEnum):
    """What a token is to the grammar."""

    WORD = 0
    SPACE = 1
    """Words need at least one token that is more than space."""
    TAG = 2
    LABEL = 3
    END = 4
    BARRED = 5
    """Units, slots, padding and the like: never part of an answer."""


class _State(IntEnum):
    USER_TAG = 0
    TRANSCRIPT_BEGINS = 1
    TRANSCRIPT = 2
    REPLY_TAG = 3
    REPLY_BEGINS = 4
    REPLY = 5
    TRANSCRIPT_SPACED = 6
    REPLY_SPACED = 7


class AnswerGrammar:
    """The grammar over one vocabulary, for one stage. It holds no place in an answer: that is the state [B], which the caller keeps."""

    def __init__(self, tokenizer: Any, manifest: Manifest, stage: int, device: torch.device) -> None:
        self._kinds = token_kinds(tokenizer, manifest).to(device)
        self._eos, self._label = manifest.eos, manifest.system
        self._stage = stage
        after_transcript = Kind.LABEL if stage == 3 else Kind.END
        moves: dict[_State, dict[Kind, _State]] = {
            _State.USER_TAG: {Kind.TAG: _State.TRANSCRIPT_BEGINS},
            # A vocabulary may have the space before a word as a token of its own.
            _State.TRANSCRIPT_BEGINS: {Kind.WORD: _State.TRANSCRIPT, Kind.SPACE: _State.TRANSCRIPT_SPACED},
            _State.TRANSCRIPT_SPACED: {Kind.WORD: _State.TRANSCRIPT},
            _State.TRANSCRIPT: {
                Kind.WORD: _State.TRANSCRIPT,
                Kind.SPACE: _State.TRANSCRIPT,
                after_transcript: _State.REPLY_TAG if stage == 3 else _State.TRANSCRIPT,
            },
            _State.REPLY_TAG: {Kind.TAG: _State.REPLY_BEGINS},
            _State.REPLY_BEGINS: {Kind.WORD: _State.REPLY, Kind.SPACE: _State.REPLY_SPACED},
            _State.REPLY_SPACED: {Kind.WORD: _State.REPLY},
            _State.REPLY: {Kind.WORD: _State.REPLY, Kind.SPACE: _State.REPLY, Kind.END: _State.REPLY},
        }
        self._next = torch.full((len(_State), len(Kind)), -1)
        for state, ways in moves.items():
            for kind, target in ways.items():
                self._next[state, kind] = target
        self._next = self._next.to(device)

    def start(self, batch: int) -> Tensor:
        """[B] the state before the first token."""
        first = _State.TRANSCRIPT_BEGINS if self._stage == 1 else _State.USER_TAG
        return torch.full((batch,), int(first), device=self._kinds.device)

    def restrict(self, logits: Tensor, state: Tensor, remaining: int, reply: int) -> Tensor:
        """The logits [B, V] with -inf for what may not come.

        With `remaining` tokens left, this one included, an answer ends in time: a transcript leaves `reply` tokens to the reply.
        """
        allowed = (self._next[state] >= 0)[:, self._kinds]
        if self._stage == 3 and remaining <= max(reply, _SHORTEST_REPLY):
            allowed = self._only(allowed, state == _State.TRANSCRIPT, self._label)
        if remaining == 1:
            allowed = self._only(allowed, torch.ones_like(state, dtype=torch.bool), self._eos)
        return logits.masked_fill(~allowed, -torch.inf)

    def advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        """[B] the state after those tokens [B], each of which was allowed."""
        return self._next[state, self._kinds[tokens]]

    @staticmethod
    def _only(allowed: Tensor, rows: Tensor, token: int) -> Tensor:
        forced = torch.zeros_like(allowed)
        forced[:, token] = True
        return torch.where(rows[:, None], forced, allowed)


def token_kinds(tokenizer: Any, manifest: Manifest) -> Tensor:
    """int64 [V] the `Kind` of every token."""
    kinds = torch.zeros(manifest.size, dtype=torch.int64)
    pieces = tokenizer.convert_ids_to_tokens(list(range(manifest.size)))
    spaces = [index for index, piece in enumerate(pieces) if piece is not None and not piece.strip(_SPACES)]
    missing = [index for index, piece in enumerate(pieces) if piece is None]
    kinds[spaces] = int(Kind.SPACE)
    kinds[[*missing, *tokenizer.all_special_ids, *manifest.tokens.values(), manifest.pad]] = int(Kind.BARRED)
    kinds[list(manifest.tags)] = int(Kind.TAG)
    kinds[manifest.system] = int(Kind.LABEL)
    kinds[manifest.eos] = int(Kind.END)
    return kinds
