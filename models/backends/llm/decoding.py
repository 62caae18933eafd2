"""Sequences read once and written on token by token, with a cache of what was read.

    prompts -> one pass that fills the cache -> token, token, ... until one that ends

The loop is our own for three things that `transformers.generate` does not do: rows that have ended leave the batch, and so do those that
nobody waits for any more; tokens come out as an iterator that may be stopped; and logits are there to be looked at. Axes: B batch,
A rows still being written, N tokens, H width, V vocabulary.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache

_WORTH_KEEPING = 0.75
"""Rows that have ended leave the cache, which copies it, when fewer than this share of its rows are still being written."""


class Step(NamedTuple):
    """One token of every row that is still being written."""

    rows: list[int]
    """[A] which rows of the batch."""
    tokens: list[int]
    """[A]"""
    logits: Tensor
    """[A, V] that the tokens were chosen from."""


def hidden_states(base: Any, attention_mask: Tensor, cache: Cache | None = None, **inputs: Tensor) -> Tensor:
    """[B, N, H] the last layer's output for `input_ids` [B, N] or `inputs_embeds` [B, N, H].

    With a cache, `attention_mask` covers the past as well, and the states of these positions join it.
    """
    # Rows that begin at once are padded on the right, if at all, where causal attention sees nothing: no mask, and faster kernels.
    # Padding on the left needs the mask, and must not shift positions.
    left_padded = cache is not None or not bool(attention_mask[:, 0].all())
    width = next(iter(inputs.values())).shape[1]
    output = base.base_model(
        **inputs,
        attention_mask=attention_mask if left_padded else None,
        position_ids=(attention_mask.cumsum(1) - 1).clamp(min=0)[:, -width:] if left_padded else None,
        past_key_values=cache,
        use_cache=cache is not None,
    )
    states: Tensor = output.last_hidden_state
    return states


@torch.inference_mode()
def write_tokens(
    read: Callable[[Tensor, Tensor, Cache], Tensor],
    logits_of: Callable[[Tensor], Tensor],
    choose: Callable[[Tensor, list[int], int], Tensor],
    *,
    hidden: Tensor,
    mask: Tensor,
    cache: Any,
    limit: int,
    ends: Collection[int],
    gone: Callable[[int], bool] | None = None,
) -> Iterator[Step]:
    """One token for every row that is still being written, again and again, at most `limit` times.

    `hidden` [B, H] are the states at the last position of the prompts, `mask` [B, N] says which positions of the cache are no padding.
    `read` gives states [A, 1, H] of tokens [A, 1], `logits_of` turns [A, H] into [A, V], and `choose` gives tokens [A] of logits, the rows
    they belong to and the number of the step. A row leaves after a token in `ends`, or when `gone` says so.
    """
    rows = list(range(len(hidden)))
    places = torch.arange(len(rows), device=hidden.device)  # [A] where the rows stand in the cache
    for step in range(limit):
        logits = logits_of(hidden)
        tokens = choose(logits, rows, step)
        chosen = tokens.tolist()
        yield Step(rows, chosen, logits)
        going = [place for place, token in enumerate(chosen) if token not in ends and not (gone and gone(rows[place]))]
        if not going or step + 1 == limit:
            return
        if len(going) < len(rows):
            keep = torch.tensor(going, device=hidden.device)
            tokens, places = tokens[keep], places[keep]
            rows = [rows[place] for place in going]
        if len(rows) < _WORTH_KEEPING * len(mask):
            cache.batch_select_indices(places)
            mask = mask[places]
            places = torch.arange(len(rows), device=hidden.device)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        following = tokens.new_zeros(len(mask))
        following[places] = tokens
        hidden = read(following[:, None], mask, cache)[places, -1]
