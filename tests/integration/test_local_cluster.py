"""Clusters of one computer side by side."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rapport.ray_jobs import local_cluster as clusters


@pytest.mark.slow
def test_a_cluster_whose_port_another_took_at_the_same_moment_takes_another(monkeypatch):
    with clusters.local_cluster(num_cpus=1) as first:
        port = int(first.dashboard.rsplit(":", 1)[1])
        # As both would find it when they look before either has it.
        monkeypatch.setattr(clusters, "free_port", lambda wanted: port)
        with clusters.local_cluster(num_cpus=1) as second:
            assert second.dashboard != first.dashboard
        assert first.run('python -c "print({})"', told=lambda line: None).ok


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system must tell of a parent's death")
def test_a_cluster_ends_with_the_process_that_started_it_even_if_that_was_killed():
    program = "\n".join(
        (
            "import time",
            "from rapport.ray_jobs.local_cluster import local_cluster",
            "with local_cluster(1):",
            "    print('up', flush=True)",
            "    time.sleep(600)",
        )
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    members = psutil.Process(owner.pid).children(recursive=True)
    assert members
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    end_s = time.monotonic() + 40
    while any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in members) and time.monotonic() < end_s:
        time.sleep(0.5)
    left = [member for member in members if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]
    for member in left:
        member.kill()
    assert not left
