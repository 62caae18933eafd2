"""From three machines that answer over SSH to a served model, and back to three machines: every command as docs/cluster.md has it.

Slow, and only as root on Linux: `make rehearsal`.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.rehearsal.cluster import Cluster, launch
from tests.rehearsal.hosts import Host, make_hosts, missing
from tests.rehearsal.losses import TOY, ask, head_lost, machine_lost, machine_reclaimed

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(3600), pytest.mark.skipif(bool(missing()), reason=missing() or "-")]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(make_hosts(3, tmp_path_factory.mktemp("hosts")))
        except (RuntimeError, subprocess.CalledProcessError) as error:
            # Containers may have the tools and namespaces, and still no bridges.
            pytest.skip(f"hosts cannot be made here: {error}")
        yield made


def processes(host: Host) -> list[str]:
    """Of Ray, on a host."""
    listed = host.run("ps -eo args").splitlines()
    return [line for line in listed if "ray/" in line or line.startswith("ray::")]


def test_a_model_is_prepared_trained_on_two_nodes_and_served_and_nothing_is_left(hosts: list[Host], tmp_path: Path) -> None:
    with launch(hosts, tmp_path, cpus=2) as cluster:
        assert cluster.job("doctor")["ok"]
        corpus = pipeline(cluster)
        # Before anything is served: Ray counts whole machines for a range of workers, whatever else holds processors of them.
        machine_lost(cluster)
        machine_reclaimed(cluster)
        served(cluster, corpus)
        head_lost(cluster, corpus)
        assert (hosts[0].home / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    # On machines that are not made and ended by a cloud, `ray down` stops the head alone: the workers are stopped as the guide has it.
    for host in hosts[1:]:
        host.run(". ~/.rapport_environment && ray stop")
    deadline = time.monotonic() + 120
    while (left := [line for host in hosts for line in processes(host)]) and time.monotonic() < deadline:
        time.sleep(3)
    assert left == []
    told = "\n".join(f"{name:>24} {seconds:6.1f} s" for name, seconds in cluster.timings_s.items())
    (tmp_path / "timings.txt").write_text(told)
    print(f"\n{told}\nlog: {cluster.log}")


def pipeline(cluster: Cluster) -> Path:
    """Make, prepare and train; returns the folder of the made corpus."""
    corpus = cluster.storage / "ravdess"
    made = cluster.job("make_corpus", "--layout", "ravdess", "--speakers", "6", "--utterances", "24", "--out", str(corpus))
    assert made["files"] == 6 * 24
    prepared = cluster.job("prepare_corpus", "--config", "ravdess", "--corpus.root", str(corpus))
    assert Path(prepared["folder"]).is_relative_to(cluster.storage)
    trained = cluster.job("train_ser", *TOY, "--name", "rehearsed", "--workers.count", "2", "--training.epochs", "3")
    assert trained["epochs"] == 3
    # As Ray Train tells where its workers are.
    assert {f"ip={host.address}" for host in cluster.hosts[1:]} <= set(re.findall(r"ip=[\d.]+", cluster.log.read_text()))
    return corpus


def served(cluster: Cluster, corpus: Path) -> None:
    """Deploy, and ask for the emotion of a clip from the head."""
    cluster.job("serve_app", "--detach", "--model", str(cluster.storage / "models" / "ser" / "rehearsed"))
    assert set(ask(cluster, corpus)["scores"]) >= {"angry", "happy"}
