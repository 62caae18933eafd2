import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.ray_jobs.training_runs.placement import place


@pytest.mark.parametrize(
    ("workers", "wanted", "resources", "expected"),
    [
        ({}, None, {"CPU": 4.0}, (1, "no", 4)),
        ({}, 2, {"CPU": 4.0}, (2, "no", 2)),
        ({"cpus": 3}, None, {"CPU": 8.0}, (3, "no", 2)),
        ({"count": 2}, None, {"CPU": 5.0}, (1, "no", 2)),
        ({}, None, {"CPU": 16.0, "GPU": 2.0}, (8, "yes", 2)),
        ({"use_gpu": "no"}, 4, {"CPU": 16.0, "GPU": 2.0}, (4, "no", 4)),
    ],
)
def test_trainings_share_a_cluster(workers, wanted, resources, expected):
    found, at_once = place(WorkersConfig.model_validate(workers), wanted, resources)
    assert (found.cpus, found.use_gpu, at_once) == expected


def test_a_training_that_does_not_fit_is_refused():
    with pytest.raises(RapportError, match=r"workers\.count"):
        place(WorkersConfig(count=8), None, {"CPU": 4.0})
