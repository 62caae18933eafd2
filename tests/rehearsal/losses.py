"""What happens to a cluster that loses a machine, or its head, and how long it takes until work goes on."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.rehearsal.cluster import Cluster, wait_for_workers

TOY = ["--config", "quickstart", "--corpora", "ravdess", "--noise", "None", "--augment.noise.p", "0"]
_EPOCHS = 60
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def machine_lost(cluster: Cluster) -> None:
    """The plug of a worker is pulled in the middle of a training that may go on with fewer."""
    folder = _train("lossy", cluster)
    known = _steps(folder)[-1]
    victim = cluster.hosts[-1]
    began = time.monotonic()
    victim.power_off()
    _until("the next checkpoint", lambda: bool(_steps(folder)) and _steps(folder)[-1] > known, cluster)
    cluster.timings_s["machine lost: next epoch"] = time.monotonic() - began
    victim.power_on()
    began = time.monotonic()
    wait_for_workers(cluster, len(cluster.hosts) - 1)
    cluster.timings_s["machine back: joined"] = time.monotonic() - began
    _finish("lossy", cluster)


def machine_reclaimed(cluster: Cluster) -> None:
    """A worker is told that it ends in 20 s, as spot machines are, and ends."""
    folder = _train("noticed", cluster)
    victim = cluster.hosts[-1]
    listed = cluster.on_head(f"ray list nodes --format json --filter state=ALIVE --filter node_ip={victim.address}")
    nodes = json.loads(listed[listed.index("[") :])
    why = "--reason DRAIN_NODE_REASON_PREEMPTION --reason-message reclaimed --deadline-remaining-seconds 20"
    began = time.monotonic()
    cluster.on_head(f"ray drain-node --node-id {nodes[0]['node_id']} {why}")
    _until("a checkpoint for the notice", lambda: "about to be taken away" in cluster.ray("job", "logs", "noticed"), cluster)
    cluster.timings_s["notice: saved for it"] = time.monotonic() - began
    time.sleep(max(0.0, began + 20 - time.monotonic()))
    known, ended = _steps(folder)[-1], time.monotonic()
    victim.power_off()
    _until("the next checkpoint", lambda: _steps(folder)[-1] > known, cluster)
    cluster.timings_s["reclaimed: next epoch"] = time.monotonic() - ended
    victim.power_on()
    wait_for_workers(cluster, len(cluster.hosts) - 1)
    _finish("noticed", cluster)


def head_lost(cluster: Cluster, corpus: Path) -> None:
    """The plug of the head is pulled while it serves; what a person does then."""
    before = ask(cluster, corpus)
    began = time.monotonic()
    cluster.hosts[0].power_off()
    cluster.hosts[0].power_on()
    cluster.up()
    cluster.connect()
    wait_for_workers(cluster, len(cluster.hosts) - 1)
    cluster.timings_s["head lost: cluster up"] = time.monotonic() - began
    cluster.job("serve_app", "--detach", "--model", str(cluster.storage / "models" / "ser" / "rehearsed"))
    assert ask(cluster, corpus) == before
    cluster.timings_s["head lost: served again"] = time.monotonic() - began


def ask(cluster: Cluster, corpus: Path) -> dict[str, Any]:
    """The emotion of a clip, asked for on the head."""
    clip = min(corpus.rglob("*.wav"))
    answer: dict[str, Any] = json.loads(cluster.hosts[0].run(f"curl -s -F file=@{clip} http://127.0.0.1:8000/v1/audio/emotions"))
    return answer


def _train(name: str, cluster: Cluster) -> Path:
    """A training on two machines that may go on with one, two epochs old: the folder of its checkpoints."""
    elastic = ["--workers.count", "2", "--workers.least", "1", "--training.epochs", str(_EPOCHS)]
    command = ["python", "-m", "rapport.ray_jobs.train_ser", *TOY, "--name", name, *elastic]
    cluster.ray("job", "submit", "--no-wait", "--submission-id", name, "--working-dir", ".", "--", *command)
    folder = cluster.storage / "runs" / "train_ser" / name / "checkpoints"
    _until("the first two epochs", lambda: len(_steps(folder)) > 1, cluster)
    return folder


def _finish(name: str, cluster: Cluster) -> None:
    _until("the end", lambda: _status(cluster, name) in _ENDED, cluster)
    assert _status(cluster, name) == "SUCCEEDED", cluster.ray("job", "logs", name)[-3000:]
    assert json.loads((cluster.storage / "runs" / "train_ser" / name / "result.json").read_text())["epochs"] == _EPOCHS


def _steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints there are."""
    return sorted(int(place.parent.name.removeprefix("step-")) for place in folder.glob("step-*/state.json"))


def _status(cluster: Cluster, job: str) -> str:
    found = cluster.ray("job", "status", job).upper()
    return next((status for status in _ENDED if status in found), "RUNNING")


def _until(what: str, holds: Callable[[], object], cluster: Cluster, patience_s: float = 400) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come: {cluster.log}"
        time.sleep(1)
