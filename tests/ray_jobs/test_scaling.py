import json
from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.predict_scale import PredictScaleConfig, run
from rapport.ray_jobs.scaling import Check, Cost, Machine, Work, fit, predict, seconds_of

COST = Cost(fixed_s=3.0, alone_s_per_hour=2.0, shared_s_per_hour=40.0)


def worked(hours: float, processors: int = 2, peak_mib: float = 900.0) -> Work:
    return Work(hours, processors, 1.0 + 2.0 * hours, 2.0 + 40.0 * hours / processors, peak_mib)


def test_the_cost_of_runs_that_follow_it_is_found_again() -> None:
    found = fit([worked(hours) for hours in (0.1, 0.4, 1.6)])
    assert list(found.to_json().values()) == pytest.approx([3.0, 2.0, 40.0])
    assert Cost.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_no_part_of_a_cost_is_negative() -> None:
    shrinking = [Work(hours, 2, 1.0, 5.0 - hours, 900.0) for hours in (0.1, 0.4, 1.6)]
    bending = [Work(hours, 2, 1.0, 9.0 * hours**2, 900.0) for hours in (0.1, 0.4, 1.6)]
    for work in (shrinking, bending):
        assert min(fit(work).to_json().values()) >= 0


def test_a_check_tells_the_farthest_run_and_the_growth_of_memory() -> None:
    late = Work(1.6, 2, 1.0 + 3.2, 2.0 + 32.0 * 1.25, 1080.0)
    check = Check.of(COST, [worked(0.1), worked(0.4), late])
    assert check.time_off == pytest.approx(8.0 / 46.2)
    assert check.memory_growth == pytest.approx(0.2)


def test_more_machines_share_the_one_part_and_wait_for_the_other() -> None:
    machine = Machine(processors=10, price=2.0, start_s=60.0)
    one, many = (predict(COST, 1000.0, nodes, machine) for nodes in (1, 100))
    assert one["seconds"] == pytest.approx(60 + 3 + 2000 + 4000)
    assert many["seconds"] == pytest.approx(60 + 3 + 2000 + 40)
    assert many["cost"] == pytest.approx(100 * 2 * many["seconds"] / 3600)
    assert seconds_of(COST, 0.0, 1) == 3.0


def test_every_size_is_predicted_from_a_file_and_its_absence_is_told(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="--check"):
        run(PredictScaleConfig(storage=str(tmp_path)))
    (tmp_path / "costs.json").write_text(json.dumps({"prepare_corpus": COST.to_json(), "runs": []}))
    result = run(PredictScaleConfig(storage=str(tmp_path), measured=str(tmp_path / "costs.json"), hours=(1, 100), nodes=(1, 1000)))
    assert [(p["hours"], p["nodes"]) for p in result["predictions"]] == [(1, 1), (1, 1000), (100, 1), (100, 1000)]
    assert result["checked"] == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_measured_here_predicts(ray_cluster: dict[str, float], tmp_path: Path) -> None:
    settings = PredictScaleConfig(storage=str(tmp_path), check=True, jobs=("prepare_corpus",), clips=10, clip_s=0.5, hours=(1,), nodes=(1,))
    result = run(settings)
    runs = json.loads(Path(result["measured"]).read_text())["runs"]["prepare_corpus"]
    assert [round(work["hours"] * 3600 / 5) for work in runs] == [1, 4, 16]
    assert all(work["peak_mib"] > 0 and work["shared_s"] > 0 for work in runs)
    assert result["predictions"][0]["seconds"] > 0
    assert set(result["checked"]) == {"prepare_corpus"}
