"""What is checked before an agent begins to act."""

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training.acting import _check_room


def test_what_a_computer_has_no_room_for_is_refused_and_a_cluster_waits() -> None:
    told: list[str] = []
    _check_room(2, 2.0, told.append, grows=False)
    with pytest.raises(RapportError, match=r"2 runners .* and 1 are free beside the services: lower"):
        _check_room(2, 1.0, told.append, grows=False)
    assert not told
    _check_room(2, 1.0, told.append, grows=True)
    assert "waiting for more" in told[0]
