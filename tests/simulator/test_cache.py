"""Kept answers: what was asked once is not asked again, here, in another process and in a later run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rapport.simulator.cache import Cached, cache_report, unread_by
from rapport.simulator.requests import Failure, HearingRequest, JudgeRequest, Result, Services, SpeechRequest

LINE = SpeechRequest("hello", "af_heart", 22_050)
TURN = JudgeRequest("prompt", "apple", ("apple", "egg"), ((1, "Stop"),), 7)


class Speaks:
    """Answers with samples that tell which call they are from."""

    def __init__(self, version: str = "1", deterministic: bool = True) -> None:
        self.version, self.deterministic = version, deterministic
        self.asked: list[list[object]] = []

    def batch(self, requests: Sequence[SpeechRequest]) -> list[Result]:
        self.asked.append(list(requests))
        return [np.full(1000, len(self.asked), np.float32) for _ in requests]


class Judges:
    """Answers with words, or not at all; reads no seed."""

    version, deterministic, unread = "1", True, ("seed",)

    def __init__(self) -> None:
        self.fails = False
        self.calls = 0

    def batch(self, requests: Sequence[JudgeRequest]) -> list[Result]:
        self.calls += 1
        return [Failure("judge", "away") if self.fails else f"{request.heard} £" for request in requests]


def lines(*texts: str) -> list[SpeechRequest]:
    return [replace(LINE, text=text) for text in texts]


def test_a_batch_asks_once_for_what_is_new_in_it() -> None:
    service = Speaks()
    cached = Cached(service)
    cached.batch(lines("a", "b"))
    found = cached.batch(lines("b", "c", "c", "a"))
    assert service.asked == [lines("a", "b"), lines("c")]
    assert [int(np.asarray(samples)[0]) for samples in found] == [1, 2, 2, 1]
    assert cached.stats.report() == {"asked": 6, "memory": 3, "disk": 0, "answered": 3, "hit_rate": 0.5}


def test_equal_requests_get_the_very_array_which_nobody_can_change() -> None:
    cached = Cached(Speaks())
    first, again = cached.batch([LINE])[0], cached.batch([LINE])[0]
    assert first is again
    assert isinstance(first, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_answers_outlive_the_process_and_belong_to_their_version(tmp_path: Path) -> None:
    first = Cached(Speaks(), folder=str(tmp_path)).batch([LINE])[0]
    later = Cached(Speaks(), folder=str(tmp_path))
    np.testing.assert_array_equal(np.asarray(later.batch([LINE])[0]), np.asarray(first))
    later.batch([LINE])
    assert later.stats.report() == {"asked": 2, "memory": 1, "disk": 1, "answered": 0, "hit_rate": 1.0}
    other = Cached(Speaks(version="2"), folder=str(tmp_path))
    other.batch([LINE])
    assert other.stats.answered == 1


def test_words_are_kept_too_and_what_is_not_read_does_not_matter(tmp_path: Path) -> None:
    assert Cached(Judges(), folder=str(tmp_path)).batch([TURN]) == ["apple £"]
    later = Cached(Judges(), folder=str(tmp_path))
    assert later.batch([replace(TURN, seed=99), replace(TURN, heard="egg")]) == ["apple £", "egg £"]
    assert (later.stats.disk, later.stats.answered) == (1, 1)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY cut off", b"[1, 2]", b"\xff\xfe"])
def test_a_damaged_file_is_made_again(damage: bytes, tmp_path: Path) -> None:
    Cached(Speaks(), folder=str(tmp_path)).batch([LINE])
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert Cached(Speaks(), folder=str(tmp_path)).batch([LINE])[0] is not None
    assert file.read_bytes() == whole


def test_failures_are_not_kept() -> None:
    service = Judges()
    cached = Cached(service)
    service.fails = True
    assert isinstance(cached.batch([TURN])[0], Failure)
    service.fails = False
    assert cached.batch([TURN]) == ["apple £"]
    assert service.calls == 2


def test_a_service_that_draws_is_asked_each_time() -> None:
    service = Speaks(deterministic=False)
    cached = Cached(service)
    cached.batch([LINE, LINE])
    cached.batch([LINE])
    assert [len(asked) for asked in service.asked] == [2, 1]
    assert cached.stats.hit_rate == 0


def test_memory_keeps_what_was_used_last() -> None:
    service = Speaks()
    cached = Cached(service, memory_mib=0.011)  # two answers of 4 kB and their bookkeeping
    cached.batch(lines("a"))
    cached.batch(lines("b"))
    cached.batch(lines("a"))
    cached.batch(lines("c"))
    service.asked.clear()
    cached.batch(lines("a", "c", "b"))
    assert service.asked == [lines("b")]


def test_every_part_of_a_request_tells() -> None:
    cached = Cached(Judges())
    changes = {"prompt": "x", "heard": "x", "offered": ("egg", "apple"), "moves": ((2, "Stop"),)}
    keys = {cached.key(TURN), *(cached.key(replace(TURN, **{name: value})) for name, value in changes.items())}  # type: ignore[arg-type]
    assert len(keys) == 5
    assert cached.key(replace(TURN, seed=99)) in keys
    assert unread_by(cached) == unread_by(Cached(cached)) == ("seed",)
    assert unread_by(NoEars()) == ()


def test_waveforms_are_known_by_their_samples() -> None:
    service = Cached(NoEars())
    samples = np.arange(8, dtype=np.float32)
    keys = [service.key(HearingRequest(wave, 16_000)) for wave in (samples, samples.copy(), samples[:7], samples[::-1], samples * 1.001)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert service.key(HearingRequest(samples, 8_000)) != keys[0]


class NoEars:
    """Hears nothing."""

    version, deterministic = "1", True

    def batch(self, requests: Sequence[HearingRequest]) -> list[Result]:
        return ["" for _ in requests]


def test_hit_rates_are_told_by_kind() -> None:
    services = Services(Cached(Judges()), NoEars(), Cached(Speaks()), None)  # type: ignore[arg-type]
    services.judge.batch([TURN, TURN])
    assert cache_report(services)["judge"]["hit_rate"] == 0.5
    assert set(cache_report(services)) == {"judge", "voice"}
