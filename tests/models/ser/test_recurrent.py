"""The GRU over clips of unequal length is torch's own."""

import pytest
import torch
from torch import nn

from rapport.models.ser.recurrent import BidirectionalGru


@pytest.mark.parametrize("layers", [1, 2])
def test_it_agrees_with_torchs_packed_gru(layers: int) -> None:
    torch.manual_seed(0)
    mine = BidirectionalGru(6, 5, layers, 0.0)
    theirs = nn.GRU(6, 5, layers, batch_first=True, bidirectional=True)
    weights: dict[str, torch.Tensor] = {}
    for layer in range(layers):
        for suffix, stack in (("", mine.ahead), ("_reverse", mine.back)):
            weights |= {name.replace("_l0", f"_l{layer}{suffix}"): value for name, value in stack[layer].state_dict().items()}
    theirs.load_state_dict(weights)
    values, lengths = torch.randn(4, 9, 6), torch.tensor([9, 1, 4, 7])
    packed = nn.utils.rnn.pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    wanted, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = mine(values, lengths)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(found[i, :length], wanted[i, :length])
