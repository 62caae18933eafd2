"""What happens to a cluster that loses a machine, or its head, and how long it takes until work goes on."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.rehearsal.cluster import Cluster, wait_for_workers

TOY = ["--config", "quickstart", "--corpora", "ravdess", "--noise", "None", "--augment.noise.p", "0"]
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def machine_lost(cluster: Cluster) -> None:
    """The plug of a worker is pulled in the middle of a training that may go on with fewer."""
    elastic = ["--workers.count", "2", "--workers.least", "1", "--training.epochs", "40"]
    command = ["python", "-m", "rapport.ray_jobs.train_ser", *TOY, "--name", "lossy", *elastic]
    cluster.ray("job", "submit", "--no-wait", "--submission-id", "lossy", "--working-dir", ".", "--", *command)
    folder = cluster.storage / "runs" / "train_ser" / "lossy" / "checkpoints"
    _until("the first two epochs", lambda: len(_steps(folder)) > 1, cluster)
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
    _until("the end", lambda: _status(cluster, "lossy") in _ENDED, cluster)
    assert _status(cluster, "lossy") == "SUCCEEDED", cluster.ray("job", "logs", "lossy")[-3000:]
    assert json.loads((cluster.storage / "runs/train_ser/lossy/result.json").read_text())["epochs"] == 40


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
