"""What is checked before an agent begins to act."""

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training.acting import _check_room
from rapport.ray_jobs.agent_training.config import TrainAgentConfig


def settings(where: str, runners: int) -> TrainAgentConfig:
    return TrainAgentConfig.model_validate({"learning": {"runners": runners}, "hosts": {"where": where}})


def test_what_a_computer_has_no_room_for_is_refused_and_a_cluster_waits() -> None:
    told: list[str] = []
    _check_room(settings("in_process", 2), 2.0, told.append, grows=False)
    with pytest.raises(RapportError, match=r"want 3 CPUs, the cluster has 2: lower"):
        _check_room(settings("actors", 2), 2.0, told.append, grows=False)
    assert not told
    _check_room(settings("actors", 2), 2.0, told.append, grows=True)
    assert "waiting for more" in told[0]
