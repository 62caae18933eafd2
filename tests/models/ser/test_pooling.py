"""Pooling and its helpers look at valid frames only."""

import pytest
import torch

from rapport.models.ser.frames import frame_mask, mask_block, masked_mean
from rapport.models.ser.pooling import AttentionPooling


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("deviation", ["none", "plain", "weighted"])
def test_attention_sums_to_one_and_ignores_padding(heads: int, deviation: str) -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(8, heads, deviation)
    frames = torch.randn(3, 12, 8)
    mask = frame_mask(torch.tensor([12, 5, 1]), 12)
    vector, attention = pooling(frames, mask)
    assert vector.shape == (3, pooling.output_width)
    torch.testing.assert_close(attention.sum(1), torch.ones(3))
    assert (attention[~mask] == 0).all()
    frames[~mask] = torch.nan
    torch.testing.assert_close(pooling(frames, mask)[0], vector)


def test_one_head_is_a_softmax_over_one_linear_score() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(4)
    frames = torch.randn(1, 6, 4)
    weights = torch.softmax(frames @ pooling.score.weight[0] + pooling.score.bias, dim=1)
    torch.testing.assert_close(pooling(frames, torch.ones(1, 6, dtype=torch.bool))[0], (weights[..., None] * frames).sum(1))


def test_the_deviation_is_that_of_the_valid_frames() -> None:
    torch.manual_seed(0)
    frames = torch.randn(1, 10, 3)
    vector, _ = AttentionPooling(3, 2, "plain")(frames, frame_mask(torch.tensor([7]), 10))
    torch.testing.assert_close(vector[0, 6:], frames[0, :7].std(0, correction=0), atol=1e-4, rtol=0)


def test_the_deviation_of_one_frame_has_a_finite_gradient() -> None:
    frames = torch.randn(1, 1, 3, requires_grad=True)
    AttentionPooling(3, 1, "weighted")(frames, torch.ones(1, 1, dtype=torch.bool))[0].sum().backward()
    assert frames.grad is not None
    assert torch.isfinite(frames.grad).all()


def test_the_masked_mean_leaves_padding_out() -> None:
    values = torch.tensor([[[1.0], [3.0], [torch.nan]]])
    assert masked_mean(values, frame_mask(torch.tensor([2]), 3)).item() == 2


def test_blocks_fit_clips_shorter_than_the_widest_block() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([1, 3, 50] * 100)
    hidden = mask_block(torch.ones(300, 50, 2), lengths, torch.full_like(lengths, 10), dim=1, narrowest=1)[..., 0] == 0
    widths = hidden.sum(1)
    assert (widths >= 1).all()
    assert (widths <= lengths.clamp(max=10)).all()
    assert not (hidden & ~frame_mask(lengths, 50)).any()
    assert set(widths[lengths == 50].tolist()) == set(range(1, 11))
