"""A past with room holds what transformers' own holds."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, MistralConfig

from rapport.models.backends.llm.past import RoomyLayer, new_past

CONFIG = LlamaConfig(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, hidden_size=8)


def states(rows: int, tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 1, tokens, 4, generator=draw), torch.randn(rows, 1, tokens, 4, generator=draw)


@pytest.mark.parametrize("later", [1, 100])
def test_tokens_and_rows_come_and_go_as_in_a_past_without_room(later: int) -> None:
    ours, theirs = new_past(CONFIG), DynamicCache(config=CONFIG)
    for step, (rows, tokens) in enumerate([(5, 7), (5, 1), (5, later), (5, 1)]):
        for layer in range(2):
            given = states(rows, tokens, seed=10 * step + layer)
            for found, wanted in zip(ours.update(*given, layer), theirs.update(*given, layer), strict=True):
                assert torch.equal(found, wanted)
    chosen = torch.tensor([3, 0, 0])
    for cache in (ours, theirs):
        cache.batch_select_indices(chosen)
    assert ours.get_seq_length() == theirs.get_seq_length() == 9 + later
    for layer in range(2):
        given = states(3, 1, seed=layer)
        for found, wanted in zip(ours.update(*given, layer), theirs.update(*given, layer), strict=True):
            assert torch.equal(found, wanted)


def test_a_token_is_written_in_place_while_there_is_room() -> None:
    past = new_past(CONFIG)
    keys, _ = past.update(*states(2, 3, seed=0), 0)
    grown, _ = past.update(*states(2, 1, seed=1), 0)
    assert keys.data_ptr() == grown.data_ptr()


def test_layers_that_keep_a_window_are_as_they_were() -> None:
    config = MistralConfig(num_hidden_layers=1, sliding_window=4)
    assert not any(isinstance(layer, RoomyLayer) for layer in new_past(config).layers)
