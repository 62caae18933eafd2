"""Services in this process, in actors and on Serve give the same answers, are shared, and outlive the death of a copy."""

import os
import signal
import time
from typing import Any

import numpy as np
import pytest
import ray

from rapport.core.errors import RapportError
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.ray_jobs.agent_services.actors import actor_reports, connect_actors, running_actors
from rapport.ray_jobs.agent_services.config import HostedConfig, HostsConfig
from rapport.ray_jobs.agent_services.hosts import ServicePlace, host_services
from rapport.simulator.cache import Cached, cache_report
from rapport.simulator.requests import HearingRequest, JudgeRequest, PictureRequest, Result, Services, SpeechRequest
from rapport.simulator.task import Task, load_task

FAKES = ServicesConfig(ears="tone", voice="tone", pictures="flat")
SMALL = HostedConfig(num_cpus=0.1)
ACTORS = HostsConfig(where="actors", judge=SMALL, ears=HostedConfig(num_cpus=0.1, replicas=2), voice=SMALL, pictures=SMALL, timeout_s=120)
LINES = [SpeechRequest(f"line {i}", "af_heart", 22_050) for i in range(7)]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cafe() -> Task:
    return load_task("cafe")


def dialogue(services: Services) -> list[Result]:
    """Some of everything that a dialogue asks for."""
    speech = services.voice.batch(LINES)
    heard = services.ears.batch([HearingRequest(np.asarray(samples), 22_050) for samples in speech])
    turns = [JudgeRequest("", str(text), ("espresso", "mocha"), ((1, "Exit"),), 0) for text in heard]
    pictures = services.pictures.batch([PictureRequest(1, "mocha", "", "train", i, 0, 16, 16) for i in range(3)])
    return [*speech, *heard, *services.judge.batch(turns), *pictures]


def equal(first: list[Result], second: list[Result]) -> bool:
    return len(first) == len(second) and all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(first, second, strict=True))


def process_of(actor: Any) -> int:
    return int(ray.get(actor.__ray_call__.remote(lambda self: os.getpid())))


def test_actors_answer_as_services_in_this_process_do_and_are_shared(cafe: Task, ray_cluster: Any) -> None:
    with host_services(FAKES, cafe) as here:
        expected = dialogue(here.open())
        versions = {kind: getattr(here.open(), kind).version for kind in ("judge", "ears", "voice", "pictures")}
    with host_services(FAKES, cafe, ACTORS) as place:

        @ray.remote(num_cpus=0)
        def elsewhere(place: ServicePlace) -> tuple[list[Result], dict[str, Any]]:
            services = place.open()
            return dialogue(services), cache_report(services)

        found = ray.get([elsewhere.remote(place) for _ in range(2)])
        services = place.open()
        assert {kind: getattr(services, kind).version for kind in versions} == versions
        assert all(equal(results, expected) for results, _ in found)
        assert found[0][1]["voice"]["answered"] == len(LINES)
        assert isinstance(services.voice, Cached)
        assert services.voice.batch([LINES[0]])[0] is services.voice.batch([LINES[0]])[0]
        turns = [JudgeRequest("", "mocha", ("mocha",), (), seed) for seed in range(9)]
        services.judge.batch(turns)
        assert cache_report(services)["judge"]["answered"] == 1, "the rule judge reads no seed, also from afar"
        group = place.group
    with pytest.raises(RapportError, match="they end with the job"):
        connect_actors(group, "ears", ACTORS)


def test_a_batch_is_shared_out_among_copies_and_what_caches_spare_is_told(cafe: Task, ray_cluster: Any) -> None:
    hosts = ACTORS.model_copy(update={"kinds": ("ears",)})
    with host_services(FAKES, cafe) as here:
        clips = [HearingRequest(np.asarray(samples), 22_050) for samples in here.open().voice.batch(LINES)]
        words = here.words
    with running_actors("shared-out", FAKES, words, hosts) as actors:
        ears = connect_actors("shared-out", "ears", hosts)
        for _ in range(2):
            assert ears.batch(clips) == [line.text for line in LINES]
        assert ears.batch([]) == []
        reports: list[Any] = ray.get([handle.report.remote() for handle in actors["ears"]])
        asked = [report["asked"] for report in reports]
        assert min(asked) >= 6
        report = actor_reports(actors)["ears"]
        assert report["asked"] == 14
        # A clip may meet the other copy the second time.
        assert report["memory"] + report["answered"] == 14
        assert report["hit_rate"] == report["memory"] / 14


def test_a_copy_that_dies_under_a_batch_comes_back_and_answers_it(cafe: Task, ray_cluster: Any, tmp_path: Any) -> None:
    hosts = ACTORS.model_copy(update={"kinds": ("voice",)})
    config = FAKES.model_copy(update={"cache": CacheConfig(enabled=False)})
    with host_services(config, cafe, hosts) as place:
        voice = place.open().voice
        handle = ray.get_actor(f"{place.group}/voice/0", namespace=place.group)
        before = voice.batch(LINES)
        first = process_of(handle)
        call: Any = handle.batch.remote([SpeechRequest("x " * 400, "", 22_050)] * 200)
        time.sleep(0.05)
        os.kill(first, signal.SIGKILL)
        assert len(ray.get(call, timeout=100)) == 200
        assert equal(voice.batch(LINES), before)
        assert process_of(handle) != first


def test_errors_come_as_they_were_raised(cafe: Task, ray_cluster: Any) -> None:
    hosts = ACTORS.model_copy(update={"kinds": ("voice", "pictures")})
    with (
        pytest.raises(RapportError, match="white or balanced"),
        host_services(FAKES.model_copy(update={"pictures": "procedural:x"}), cafe, hosts),
    ):
        pass
    with host_services(ServicesConfig(ears="tone", pictures="flat"), cafe, hosts) as place:
        with pytest.raises(RapportError, match="espeak has no voice 'nobody'"):
            place.open().voice.batch([SpeechRequest("hello", "nobody", 22_050)])
        assert place.open().voice.batch([SpeechRequest("hello", "", 22_050)])


def test_resources_that_are_not_there_are_told(cafe: Task, ray_cluster: Any) -> None:
    hosts = HostsConfig(where="actors", kinds=("judge",), judge=HostedConfig(num_cpus=1000), timeout_s=3)
    with pytest.raises(RapportError, match=r"judge did not start within 3 s .* 1 x 1000 CPUs"), host_services(FAKES, cafe, hosts):
        pass
