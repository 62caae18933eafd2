import json

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training.state_files import read_state, write_state


def test_nested_state_comes_back(tmp_path):
    state = {
        "adam": {"state": {0: {"step": torch.tensor(3.0), "mean": torch.arange(4.0)}}, "groups": [{"betas": (0.9, 0.999), "lr": 1e-3}]},
        "none": None,
        "flags": [True, "text", 2**40],
        "empty": {},
        "bits": np.zeros((0, 3), bool),
    }
    write_state(str(tmp_path), state)
    back = read_state(str(tmp_path))
    assert back["adam"]["groups"] == [{"betas": (0.9, 0.999), "lr": 1e-3}]
    assert back["adam"]["state"][0]["step"].shape == ()
    np.testing.assert_array_equal(back["adam"]["state"][0]["mean"], np.arange(4.0))
    assert (back["none"], back["flags"], back["empty"], back["bits"].shape) == (None, [True, "text", 2**40], {}, (0, 3))


def test_what_is_no_state_is_refused_by_its_place(tmp_path):
    with pytest.raises(RapportError, match=r"state\.a\.1 is object"):
        write_state(str(tmp_path), {"a": [1, object()]})
    with pytest.raises(RapportError, match="no finished checkpoint"):
        read_state(str(tmp_path / "absent"))


def test_it_is_plain_files(tmp_path):
    write_state(str(tmp_path), {"a": torch.ones(2)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json", "state.safetensors"]
    assert json.loads((tmp_path / "state.json").read_text()) == {"map": [["a", {"array": "0"}]]}
