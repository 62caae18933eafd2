import pytest
import torch

from rapport.models.listener.lstm import PublishedLstm


@pytest.mark.parametrize(("width", "wanted"), [(28, 1_003_436), (88, 1_064_876), (512, 1_499_052)])
def test_the_published_baseline_has_the_published_size(width: int, wanted: int) -> None:
    assert sum(parameter.numel() for parameter in PublishedLstm(width).parameters()) == wanted


def test_its_angles_cannot_leave_one_degree_but_by_the_smoother() -> None:
    torch.manual_seed(0)
    network = PublishedLstm(8).eval()
    with torch.no_grad():
        for parameter in network.move.parameters():
            parameter.mul_(50)
        rows, valid = 100 * torch.randn(1, 80, 8), torch.ones(1, 80, dtype=torch.bool)
        assert network(rows, valid).abs().max() <= 1
        network.smoother.taps.mul_(50)
        assert network(rows, valid).abs().max() > 1


def test_padding_does_not_reach_a_turn_in_evaluation() -> None:
    torch.manual_seed(0)
    network = PublishedLstm(8).double().eval()
    rows, valid = torch.randn(2, 12, 8, dtype=torch.float64), torch.arange(12) < torch.tensor([[7], [12]])
    alone = network(rows[:1, :7], torch.ones(1, 7, dtype=torch.bool))[0]
    torch.testing.assert_close(network(rows, valid)[0, :7], alone)
