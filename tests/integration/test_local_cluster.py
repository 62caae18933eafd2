"""Clusters of one computer side by side."""

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
