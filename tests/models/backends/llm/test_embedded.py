"""The small Llama that learns from nothing."""

import pytest
import torch
from pydantic import ValidationError

from rapport.models.backends.llm.base import load_base
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded

SIZES = {"hidden": 64, "layers": 2, "heads": 4, "mlp": 32, "vocabulary": 300}


def test_heads_that_look_back_do_so_whatever_stands_there(tmp_path):
    config = EmbeddedLlamaConfig(**SIZES, look_back=3)
    _, model = load_base(str(write_embedded(tmp_path, ["Nora asks. Eli answers."], config)))
    model.set_attn_implementation("eager")
    ids = torch.randint(3, 250, (4, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = model(input_ids=ids, output_attentions=True).attentions[0]  # [B, heads, N, N]
    for head in range(3):
        distance = head + 1
        assert first[:, head].diagonal(-distance, 1, 2)[:, 5:].min() > 0.8
    assert first[:, 3].max(-1).values[:, 20:].max() < 0.5, "the last head is as any other"


def test_by_default_there_is_nothing_of_that(tmp_path):
    _, model = load_base(str(write_embedded(tmp_path, ["Nora asks."], EmbeddedLlamaConfig(**SIZES))))
    assert not model.config.attention_bias
    with pytest.raises(ValidationError, match="at most the 4 heads"):
        EmbeddedLlamaConfig(**SIZES, look_back=5)
