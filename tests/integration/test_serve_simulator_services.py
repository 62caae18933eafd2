"""The simulator's services on a real Ray Serve: told over HTTP, called by environments through handles."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import ray

from rapport.core.errors import RapportError
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_services.config import HostedConfig, HostsConfig
from rapport.ray_jobs.agent_services.hosts import ServicePlace, host_services
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.simulator_services import KINDS, Args, ServiceReplicas
from rapport.simulator.requests import HearingRequest, JudgeRequest, Result, SpeechRequest
from rapport.simulator.task import load_task

FAKES = ServicesConfig(ears="tone", voice="tone", pictures="flat")
LINES = [SpeechRequest(f"line {i}", "af_heart", 22_050) for i in range(5)]
HOSTED = HostedConfig(num_cpus=0.1)
HOSTS = HostsConfig(where="serve", judge=HOSTED, ears=HOSTED, voice=HOSTED, pictures=HOSTED, timeout_s=100)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def serve(ray_cluster: dict[str, float]) -> Iterator[Any]:
    from ray import serve

    yield serve
    serve.shutdown()


class Runner:
    """Stands in for an env runner."""

    def heard(self, place: ServicePlace, clips: list[HearingRequest]) -> list[Result]:
        return place.open().ears.batch(clips)


def test_it_is_deployed_for_a_job_and_gone_after_it(serve: Any) -> None:
    cafe = load_task("cafe")
    with host_services(FAKES, cafe) as here, host_services(FAKES, cafe, HOSTS) as place:
        services, expected = place.open(), here.open()
        for kind in KINDS:
            assert getattr(services, kind).version == getattr(expected, kind).version
        speech = services.voice.batch(LINES)
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(speech, expected.voice.batch(LINES), strict=True))
        heard = services.ears.batch([HearingRequest(np.asarray(samples), 22_050) for samples in speech])
        assert heard == [line.text for line in LINES]
        runner: Any = ray.remote(num_cpus=0)(Runner)
        runners = [runner.remote() for _ in range(2)]
        clips = [HearingRequest(np.asarray(samples), 22_050) for samples in speech]
        assert ray.get([runner.heard.remote(place, clips) for runner in runners], timeout=200) == [heard, heard]
        turn = JudgeRequest("", "espresso", ("espresso", "mocha"), ((1, "Exit"),), 0)
        assert services.judge.batch([turn]) == expected.judge.batch([turn])
    assert "simulator_services" not in serve.status().applications

    broken = FAKES.model_copy(update={"pictures": "procedural:x"})
    with pytest.raises(RapportError, match="white or balanced"), host_services(broken, cafe, HOSTS):
        pass


def test_one_that_is_there_is_told_over_http_and_found_by_jobs_of_its_task(serve: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    replicas = ServiceReplicas(num_cpus=0.1)
    args = Args(task="cafe", services=FAKES, judge=replicas, ears=replicas, voice=replicas, pictures=replicas)
    url = deploy("simulator_services", args, port=port, log_level="ERROR").url
    with host_services(FAKES, load_task("cafe"), HOSTS) as place:
        services = place.open()
        assert len(services.voice.batch([*LINES, *LINES])) == 10
        (answer,) = services.voice.batch(LINES[:1])
        assert services.ears.batch([HearingRequest(np.asarray(answer), 22_050)]) == ["line 0"]
        with pytest.raises(RapportError, match="serves another task"), host_services(FAKES, load_task("cafe_corner"), HOSTS) as other:
            other.open()
    cards = {card["id"]: card for card in httpx.get(f"{url}/v1/models", timeout=60).json()["data"]}
    assert set(cards) == set(KINDS)
    assert cards["voice"]["calls"]["asked"] == len(LINES), "the job's own cache answered the rest"
    assert cards["voice"]["version"] == services.voice.version
    assert httpx.get(f"{url}/healthz", timeout=60).json()["status"] == "ok"
    assert httpx.get(f"{url}/v1/models/nose", timeout=60).status_code == 404
    assert "Simulator services" in httpx.get(url, timeout=60).text
