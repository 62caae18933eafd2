"""The evaluation of an agent as a user runs it: an untrained agent's real speech, real ears, all systems, every output."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.evaluate_agent import run
from rapport.simulator.published_logs import load_log
from rapport.simulator.recording import read_recording
from rapport.simulator.task import load_task
from tests.ray_jobs.agent_evaluation.toy import save_toy_agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SYSTEMS = ["agent", "agent_words", "silence", "random", "best_corner", "oracle", "oracle_spoken"]
EPISODES = 5


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    save_toy_agent(root, "toy", held_out=("cookie", "salad"))
    return root


def settings(root: Path, **values: Any) -> EvaluateAgentConfig:
    usual = {"storage": str(root), "episodes": EPISODES, "sessions": 2, "shards": 2, "resamples": 100, "shown": 3}
    usual |= {"references": ["silence", "random", "best_corner", "oracle"]}
    return EvaluateAgentConfig.model_validate(usual | values)


@pytest.fixture(scope="module")
def evaluated(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    before = {name: hashes(root / name) for name in ("models", "runs/train_agent")}
    options = {"second_judge": "rule:mention", "export": ["turns", "episodes"], "published_logs": True, "name": "look"}
    result = run(settings(root, **options))
    assert {name: hashes(root / name) for name in before} == before, "nothing of the agent or its training is touched"
    return result


@pytest.fixture(scope="module")
def metrics(evaluated: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads((Path(evaluated["folder"]) / "metrics.json").read_text()))


def test_all_systems_hold_the_same_episodes(evaluated: dict[str, Any], metrics: dict[str, Any]) -> None:
    assert metrics["about"]["systems"] == SYSTEMS
    turns = pq.read_table(Path(evaluated["folder"]) / "turns.parquet").to_pylist()
    seeds = {name: {turn["episode"] for turn in turns if turn["label"] == name} for name in SYSTEMS}
    assert set(map(len, seeds.values())) == {EPISODES}
    assert all(found == seeds["agent"] for found in seeds.values())
    assert {system["counts"]["failed"] for system in metrics["systems"].values()} == {0}


def test_references_earn_what_they_are_worth(evaluated: dict[str, Any], metrics: dict[str, Any]) -> None:
    figures = evaluated["figures"]
    assert figures["silence"]["mean_return"] == 0
    assert figures["oracle"]["mean_return"] >= figures["random"]["mean_return"]
    assert figures["oracle"]["choice"] == figures["oracle"]["understood"] == 1
    assert figures["oracle"]["mean_return"] >= figures["agent_words"]["mean_return"]
    assert figures["agent_words"]["understood"] == 1
    assert figures["agent"]["mean_return"] <= figures["agent_words"]["mean_return"], "noise is not understood better than words"
    assert metrics["systems"]["oracle_spoken"]["seconds"]["said_s"] > 0


def test_an_agent_is_told_part_by_part(metrics: dict[str, Any]) -> None:
    agent = metrics["systems"]["agent"]
    assert "Corners" in agent["scenes"]
    assert set(agent["confusion"]["meant"]) <= {item.name for item in load_task("cafe_corner").scenario.items.values()}
    assert metrics["about"]["unseen_items"] == ["cookie", "salad"]
    assert set(metrics["unseen"]) == {"seen", "unseen"}
    assert metrics["patterns"]["unseen"] == [3]
    assert metrics["audit"]["turns"] == agent["counts"]["turns"]
    assert 0 <= metrics["audit"]["both"]["share"] <= 1


def test_pages_and_pictures_are_written(evaluated: dict[str, Any]) -> None:
    folder = Path(evaluated["folder"])
    assert evaluated["page"] == str(folder / "index.html")
    assert (folder / "index.html").read_text().count("oracle spoken") > 1
    replay = (folder / "replay.html").read_text()
    assert replay.count('class="episode"') == 3
    assert "data:audio/flac" in replay
    assert "data:image/png" in replay
    for name in ("confusion.png", "returns.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_only_what_is_shown_keeps_its_sounds(evaluated: dict[str, Any]) -> None:
    recordings = Path(evaluated["folder"]) / "recordings"
    kept = {
        turn["episode"] for shard in (0, 1) for turn in read_recording(str(recordings / "agent" / str(shard))).turns if turn["pictures"]
    }
    assert len(kept) == 3
    assert not (recordings / "oracle" / "0" / "audio").exists()


def test_dialogues_are_logged_as_published_and_exported(evaluated: dict[str, Any]) -> None:
    folder = Path(evaluated["folder"])
    logs = sorted((folder / "published_logs").glob("*/logs/test/*_log.json"))
    assert len(logs) == EPISODES
    assert load_log(logs[0], load_task("cafe_corner").scenario)[0].before.dialogue_scene.scene_id == 0
    offline = Path(evaluated["offline"])
    assert len(set(pq.read_table(offline / "turns").column("eps_id").to_pylist())) == EPISODES
    assert pq.read_table(offline / "episodes").num_rows == EPISODES
    assert not list((folder / "recordings").rglob("spaces.json")), "gathered, not copied"


def test_the_same_evaluation_comes_to_the_same(evaluated: dict[str, Any], root: Path, ray_cluster: dict[str, float]) -> None:
    again = run(settings(root, name="again", words=False, spoken=[], references=["oracle"], shown=0, sessions=2))
    for name in ("agent", "oracle"):
        assert again["figures"][name] == evaluated["figures"][name]
    assert again["offline"] is None
    assert not (Path(again["folder"]) / "replay.html").exists()
