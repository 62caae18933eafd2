import pytest
import torch

from rapport.core.errors import RapportError
from rapport.training.checkpoint import Checkpoint, ClassifierProgress, load_checkpoint
from rapport.training.weights import copy_of


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    progress = ClassifierProgress(
        epoch=3, batch=2, step=17, loss_sum=0.1 + 0.2, confusion=[[1, 2], [3, 4]], best_score=1 / 3, history=[{"epoch": 1}]
    )
    tensors = {"a.weight": torch.randn(3, 2), "norm.num_batches_tracked": torch.tensor(5)}
    Checkpoint(progress, tensors, {"a.weight/exp_avg": torch.randn(3, 2)}, None, copy_of(tensors)).save(tmp_path)
    again = load_checkpoint(tmp_path, ClassifierProgress)
    assert again.progress == progress
    assert again.mean is None
    assert again.best is not None
    for name, tensor in tensors.items():
        assert torch.equal(again.weights[name], tensor)
        assert torch.equal(again.best[name], tensor)
    assert again.optimizer.keys() == {"a.weight/exp_avg"}


def test_nothing_is_pickled(tmp_path):
    Checkpoint(ClassifierProgress(), {"a": torch.zeros(1)}, {}, None, None).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json", "state.safetensors"]


def test_a_folder_without_a_finished_checkpoint_is_refused(tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"half")
    with pytest.raises(RapportError, match="no finished checkpoint"):
        load_checkpoint(tmp_path, ClassifierProgress)
