"""Clusters of one computer side by side."""

import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from rapport.ray_jobs import local_cluster as clusters
from rapport.ray_jobs.runtime import token_path


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
def test_the_job_server_and_the_dashboard_answer_who_has_the_token_alone():
    with clusters.local_cluster(num_cpus=1) as cluster:
        path = token_path()
        assert path.stat().st_mode & 0o777 == 0o600
        token = os.environ.get("RAY_AUTH_TOKEN") or path.read_text().strip()
        job = {"entrypoint": "true", "runtime_env": {}}
        with httpx.Client(base_url=cluster.dashboard, timeout=60) as client:
            for page in ("/api/jobs/", "/api/cluster_status", "/api/v0/nodes", "/nodes?view=summary"):
                assert client.get(page).status_code == 401, page
                assert client.get(page, headers={"Authorization": "Bearer wrong"}).status_code == 403, page
                assert client.get(page, headers={"Authorization": f"Bearer {token}"}).status_code == 200, page
            assert client.post("/api/jobs/", json=job).status_code == 401
            assert client.put("/api/serve/applications/", json={"applications": []}).status_code == 401
            assert client.get("/api/jobs/", headers={"Authorization": f"Bearer {token}"}).json() == []


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
