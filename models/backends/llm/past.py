"""The past of a batch that is being written: keys and values with room for tokens to come.

transformers' own dynamic cache copies all of a layer's past for each token; with room, a token is written where it belongs, and the past is
copied only when the room is full. Answers are the same.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

_GROWTH = 64
"""Tokens that the room grows by at least."""


def new_past(config: Any) -> Cache:
    """An empty past for the network with this configuration. Layers that keep a window or a state have transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """A layer whose `keys` and `values` [B, heads, N, width] are the beginning of a larger room. Not for training."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        begin, count = self.get_seq_length(), key_states.shape[-2]
        if not self.is_initialized or not begin:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self._room = (_room_for(key_states, count), _room_for(value_states, count))
        elif self._room[0].shape[0] != len(key_states) or self._room[0].shape[-2] < begin + count:
            assert self.keys is not None
            assert self.values is not None
            self._room = (_room_for(self.keys, begin + count), _room_for(self.values, begin + count))
            for room, past in zip(self._room, (self.keys, self.values), strict=True):
                room[..., :begin, :] = past
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[..., begin : begin + count, :] = states
        self.keys, self.values = (room[..., : begin + count, :] for room in self._room)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        if self.get_seq_length():
            length = self.get_seq_length()
            self._room = (self._room[0].index_select(0, indices), self._room[1].index_select(0, indices))
            self.keys, self.values = (room[..., :length, :] for room in self._room)


def _room_for(like: Tensor, tokens: int) -> Tensor:
    rows, heads, _, width = like.shape
    return torch.empty(rows, heads, tokens + max(_GROWTH, tokens // 4), width, dtype=like.dtype, device=like.device)
