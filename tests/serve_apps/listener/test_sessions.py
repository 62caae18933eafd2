"""One client's motion, without a network and with a clock that the test turns."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from rapport.core.audio import from_pcm16
from rapport.core.errors import RapportError
from rapport.serve_apps.listener.messages import Start
from rapport.serve_apps.listener.sessions import Mover, Session, move
from rapport.serve_apps.listener.settings import StreamSettings


class Client:
    """A session, and what its client has been sent."""

    def __init__(self, model, *, settings: StreamSettings | None = None, now_s: float = 100.0, **start: Any) -> None:
        self.now_s = now_s
        asked = Start.model_validate({"type": "start", **start})
        self.session = Session(Mover(model, asked), settings or StreamSettings(max_unread_s=60), now_s)
        self.messages: list[dict[str, Any]] = []

    async def round(self, passed_s: float = 0.0) -> None:
        self.now_s += passed_s
        if work := self.session.due(self.now_s):
            (done,) = move([(self.session.mover, work)])
            assert not isinstance(done, Exception), done
            self.session.give(work, done, self.now_s)

    async def say(self, pcm: bytes, passed_s: float | None = None) -> None:
        self.session.hear(pcm, self.now_s)
        await self.round(len(pcm) / 2 / self.session.mover.sample_rate_hz if passed_s is None else passed_s)

    async def read(self) -> list[dict[str, Any]]:
        """What there is to read now."""

        async def go() -> None:
            async for message in self.session.messages():
                self.messages.append(json.loads(json.dumps(message, allow_nan=False)))

        task = asyncio.ensure_future(go())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.messages

    @property
    def poses(self) -> np.ndarray:
        """[T, 4] times and angles that were sent."""
        return np.array([list(frame.values()) for m in self.messages for frame in m.get("frames", ())]).reshape(-1, 4)

    def last(self, kind: str) -> dict[str, Any]:
        return next(m for m in reversed(self.messages) if m["type"] == kind)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@pytest.mark.parametrize("size", [1, 2, 333, 1_066, 6_400])
def test_any_cutting_gives_the_motion_of_the_recording(motion_model, pcm, size: int) -> None:
    data = pcm(0.15 if size < 3 else 2.0)

    async def test() -> None:
        client = Client(motion_model)
        for start in range(0, len(data), size):
            await client.say(data[start : start + size])
        client.session.wish("finish", client.now_s)
        await client.round()
        await client.read()
        expected = motion_model.predict(from_pcm16(data))
        assert np.abs(client.poses[:, 1:] - expected).max() < 1e-5
        assert np.allclose(client.poses[:, 0], (np.arange(len(expected)) + 1) / 30, atol=1e-6)
        finished = client.messages[-1]
        assert (finished["type"], finished["samples"]) == ("finished", len(data) // 2)
        assert finished["dropped_s"] == finished["missed_s"] == finished["lost_frames"] == 0

    run(test())


@pytest.mark.parametrize(("start", "seconds"), [({}, 1.0), ({"sample_rate_hz": 44_100, "rate_hz": 60, "seed": 7}, 0.6)])
def test_a_token_goes_on_exactly_where_it_was_given(motion_model, pcm, start: dict[str, Any], seconds: float) -> None:
    data, more = pcm(seconds, 1), pcm(seconds, 2)

    async def test() -> None:
        straight, first = Client(motion_model, **start), Client(motion_model, **start)
        for client in (straight, first):
            for at in range(0, len(data), 800):
                await client.say(data[at : at + 800])
        first.session.wish("state", first.now_s)
        await first.round()
        await first.read()
        state = first.last("state")
        assert state["samples"] == len(data) // 2
        second = Client(motion_model, token=state["token"], now_s=5.0)
        assert (second.session.mover.seed, second.session.mover.samples) == (start.get("seed"), state["samples"])
        for client in (straight, second):
            for at in range(0, len(more), 800):
                await client.say(more[at : at + 800])
            client.session.wish("finish", client.now_s)
            await client.round()
            await client.read()
        assert np.array_equal(np.concatenate([first.poses, second.poses]), straight.poses)

    run(test())


def test_a_token_comes_right_after_the_poses_that_it_knows(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model)
        await client.say(pcm(0.5))
        client.session.wish("state", client.now_s)
        await client.round()
        for _ in range(3):
            await client.say(pcm(0.5))  # before the first poses are read
        await client.read()
        kinds = [message["type"] for message in client.messages]
        assert kinds == ["poses", "state", "poses"]
        assert client.messages[0]["frames"][-1]["time_s"] <= client.messages[1]["time_s"] < client.messages[2]["frames"][-1]["time_s"]

    run(test())


@pytest.mark.parametrize("damage", [lambda t: t[:-9], lambda t: "x" + t, lambda t: "", lambda t: t.split(".")[0] + ".", lambda t: "é.é"])
def test_a_token_that_is_damaged_is_refused(motion_model, pcm, damage) -> None:
    async def test() -> None:
        client = Client(motion_model)
        await client.say(pcm(0.1))
        client.session.wish("state", client.now_s)
        await client.round()
        await client.read()
        with pytest.raises(RapportError, match="token"):
            Client(motion_model, token=damage(client.last("state")["token"]))

    run(test())


@pytest.mark.parametrize(
    "forged",
    [{"sample_rate_hz": 1}, {"rate_hz": 1e9}, {"seed": -1}, {"samples": -1}, {"last_pose": [0, float("nan"), 0, 0]}, {"tail": "AAAA"}],
)
def test_a_token_that_no_stream_gave_is_refused(motion_model, pcm, forged: dict[str, Any]) -> None:
    async def test() -> None:
        client = Client(motion_model)
        await client.say(pcm(0.1))
        client.session.wish("state", client.now_s)
        await client.round()
        await client.read()
        head, stream = client.last("state")["token"].split(".")
        told = json.loads(base64.urlsafe_b64decode(head)) | forged
        with pytest.raises(RapportError, match="token"):
            Client(motion_model, token=f"{base64.urlsafe_b64encode(json.dumps(told).encode()).decode()}.{stream}")

    run(test())


def test_an_error_in_one_session_leaves_the_others_alone(motion_model, pcm, monkeypatch) -> None:
    async def test() -> None:
        hit, spared = Client(motion_model), Client(motion_model)
        monkeypatch.setattr(hit.session.mover, "conclude", lambda work, poses: 1 / 0)
        works = []
        for client in (hit, spared):
            client.session.hear(pcm(0.3), client.now_s)
            work = client.session.due(client.now_s)
            assert work is not None
            works.append((client.session.mover, work))
        error, done = move(works)
        assert isinstance(error, ZeroDivisionError)
        assert not isinstance(done, Exception)
        assert done.poses

    run(test())


def test_of_too_much_audio_the_oldest_is_dropped_and_the_clock_kept(motion_model, pcm) -> None:
    data = pcm(5.0)

    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_waiting_s=1.0))
        await client.say(data[:32_000])
        for at in range(32_000, len(data), 3_201):
            client.session.hear(data[at : at + 3_201], client.now_s)
        await client.round()
        assert client.session.mover.samples == len(data) // 2
        client.session.wish("finish", client.now_s)
        await client.round()
        await client.read()
        assert client.last("poses")["dropped_s"] == pytest.approx(3.0, abs=1e-3)
        assert client.poses[-1, 0] == pytest.approx(5.0, abs=1 / 30)
        assert (np.diff(client.poses[:, 0]) > 0).all()

    run(test())


def test_without_audio_the_pose_is_held_then_left_for_rest(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model)
        for _ in range(10):
            await client.say(pcm(0.1))
        await client.read()
        before = len(client.poses)
        for _ in range(600):
            client.session.wish("ping", client.now_s)
            await client.round(1 / 60)
            await client.read()
        silent = client.poses[before:]
        assert len(silent) == pytest.approx(300, abs=8)
        assert np.allclose(np.diff(client.poses[:, 0]), 1 / 30, atol=1e-5)
        rest = motion_model.rest.numpy()
        assert np.abs(silent[8:14, 1:] - silent[8, 1:]).max() < 0.5, "held"
        assert np.abs(silent[-1, 1:] - rest).max() < 0.05
        assert client.last("poses")["missed_s"] == pytest.approx(10, abs=0.3)
        await client.say(pcm(0.1))
        await client.read()
        assert client.poses[-1, 0] == pytest.approx(client.last("poses")["missed_s"] + 1.1, abs=0.1)

    run(test())


@pytest.mark.parametrize("chunk_s", [0.01, 0.5, 2.0])
def test_audio_that_comes_in_long_chunks_is_not_missed(motion_model, pcm, chunk_s: float) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_waiting_s=5))
        for _ in range(max(4, round(0.5 / chunk_s))):
            client.session.hear(pcm(chunk_s), client.now_s)
            for _ in range(10):
                await client.round(chunk_s / 10)
        await client.read()
        assert client.last("poses")["missed_s"] == 0

    run(test())


def test_a_client_ahead_of_the_clock_is_not_missed_either(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model)
        for _ in range(10):
            await client.say(pcm(0.5), passed_s=0.01)
        await client.round(4.0)
        await client.read()
        assert client.last("poses")["missed_s"] == 0

    run(test())


@pytest.mark.parametrize("jump_s", [-3_600.0, -0.5, 7.0, 3_600.0, 1e7])
def test_a_clock_that_jumps_moves_nothing_out_of_bounds(motion_model, pcm, jump_s: float) -> None:
    async def test() -> None:
        client = Client(motion_model, now_s=1e6)
        await client.say(pcm(1.0))
        await client.round(jump_s)
        for _ in range(30):
            await client.say(pcm(0.1))
        await client.round(1.0)
        await client.read()
        limits = motion_model.config.limits
        assert len(client.poses) < 30 * 14, "the motion of hours is not made up"
        assert np.isfinite(client.poses).all()
        assert (np.abs(client.poses[:, 1:]) <= limits.angles_deg).all()
        assert (np.diff(client.poses[:, 0]) > 0).all()
        assert np.abs(np.diff(client.poses[:, 1:], axis=0)).max() <= limits.speed_deg_s / 30 + 1e-6

    run(test())


def test_a_client_that_does_not_read_loses_the_oldest_poses(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_unread_s=1.0))
        for _ in range(50):
            await client.say(pcm(0.1))
        await client.read()
        assert len(client.poses) == 30
        assert client.poses[-1, 0] == pytest.approx(5.0, abs=0.1)
        assert client.last("poses")["lost_frames"] == pytest.approx(118, abs=1)

    run(test())


def test_no_more_is_sent_than_is_read(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_unread_s=1.0))
        for _ in range(50):
            await client.say(pcm(0.1))
            await client.read()
        sent = client.poses[-1, 0]
        assert 1.0 <= sent <= 1.2
        client.session.acknowledge(sent, client.now_s)
        await client.read()
        assert client.poses[-1, 0] > 4.9
        assert len(client.poses) < 70

    run(test())


def test_a_client_that_reads_nothing_is_sent_neither_tokens_nor_pongs(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_unread_s=1.0))
        for _ in range(100):
            client.session.wish("state", client.now_s)
            client.session.wish("ping", client.now_s)
            await client.say(pcm(0.1))
            await client.read()
        kinds = [message["type"] for message in client.messages]
        assert kinds.count("state") == 1
        assert kinds.count("pong") <= 15
        sent = len(kinds)
        for _ in range(2):
            client.session.acknowledge(client.poses[-1, 0], client.now_s)
            await client.read()
            await client.round()
            await client.read()
        assert {message["type"] for message in client.messages[sent:]} == {"poses", "pong", "state"}

    run(test())


def test_a_client_without_audio_is_not_sent_pongs_without_end(motion_model) -> None:
    async def test() -> None:
        client = Client(motion_model)
        for _ in range(300):
            client.session.wish("ping", client.now_s)
            client.session.wish("state", client.now_s)
            await client.round(1.0)
            await client.read()
        assert [message["type"] for message in client.messages].count("pong") == 100
        assert [message["type"] for message in client.messages].count("state") == 1
        client.session.acknowledge(0, client.now_s)
        client.session.wish("ping", client.now_s)
        await client.read()
        assert client.messages[-1] == {"type": "pong"}

    run(test())


def test_a_token_is_packed_once_a_second_at_most(motion_model, pcm, monkeypatch) -> None:
    async def test() -> None:
        client = Client(motion_model)
        packed: list[float] = []
        token = client.session.mover.token

        def pack() -> str:
            packed.append(client.now_s)
            return token()

        monkeypatch.setattr(client.session.mover, "token", pack)
        for _ in range(50):
            client.session.wish("state", client.now_s)
            await client.say(pcm(0.1))
            await client.read()
            client.session.acknowledge(client.now_s, client.now_s)
        assert len(packed) == 5
        assert min(np.diff(packed)) >= 1

    run(test())


def test_a_token_waits_with_the_poses_that_it_knows(motion_model, pcm) -> None:
    data = pcm(6.0, 4)

    async def test() -> None:
        roomy = StreamSettings(max_waiting_s=10, max_unread_s=10)
        straight, client = Client(motion_model, settings=roomy), Client(motion_model, settings=StreamSettings(max_unread_s=1.0))
        await straight.say(data)
        straight.session.wish("finish", straight.now_s)
        await straight.round()
        await straight.read()
        await client.say(data[:16_000])
        client.session.wish("state", client.now_s)
        work = client.session.due(client.now_s)
        # The client falls behind while the token is made.
        assert work is not None
        (done,) = move([(client.session.mover, work)])
        client.session._told_s += 5
        assert not isinstance(done, Exception)
        client.session.give(work, done, client.now_s)
        await client.read()
        assert client.messages == []
        client.session.acknowledge(9, client.now_s)
        await client.read()
        assert [message["type"] for message in client.messages] == ["poses", "state"]
        state = client.last("state")
        resumed = Client(motion_model, token=state["token"], settings=roomy)
        await resumed.say(data[2 * state["samples"] :])
        resumed.session.wish("finish", resumed.now_s)
        await resumed.round()
        await resumed.read()
        assert np.abs(np.concatenate([client.poses, resumed.poses]) - straight.poses).max() < 1e-5

    run(test())


def test_after_the_end_was_asked_for_nothing_waits_to_be_read(motion_model, pcm) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(max_unread_s=1.0))
        for _ in range(20):
            await client.say(pcm(0.1))
            await client.read()
        assert client.poses[-1, 0] < 1.2
        client.session.wish("finish", client.now_s)
        await client.round()
        await client.read()
        assert client.messages[-1]["type"] == "finished"
        assert client.poses[-1, 0] > 1.9

    run(test())


def test_who_never_acknowledges_is_deaf_and_who_stalls_is_not(motion_model, pcm) -> None:
    async def test() -> None:
        for acknowledges in (False, True):
            client = Client(motion_model, settings=StreamSettings(max_unread_s=1.0, gone_after_s=4))
            found = []
            for _ in range(80):
                await client.say(pcm(0.1))
                await client.read()
                if acknowledges and client.now_s < 100.5:
                    client.session.acknowledge(client.poses[-1, 0], client.now_s)
                found.append(client.session.is_deaf(client.now_s))
            assert found == sorted(found)
            assert sum(found) == (pytest.approx(28, abs=3) if not acknowledges else 0)

    run(test())


def test_who_says_nothing_is_gone_and_who_pings_is_there(motion_model) -> None:
    async def test() -> None:
        client = Client(motion_model, settings=StreamSettings(gone_after_s=4))
        assert not client.session.is_gone(client.now_s + 3.9)
        assert client.session.is_gone(client.now_s + 4.1)
        client.session.wish("ping", client.now_s + 3.9)
        assert not client.session.is_gone(client.now_s + 7.8)
        await client.read()
        assert client.messages == [{"type": "pong"}]

    run(test())


def test_silence_is_still_motion_within_limits(motion_model) -> None:
    async def test() -> None:
        client = Client(motion_model, seed=3)
        for _ in range(60):
            await client.say(bytes(32_000))
            await client.read()
        assert len(client.poses) == pytest.approx(1_800, abs=3)
        assert np.isfinite(client.poses).all()
        assert (np.abs(client.poses[:, 1:]) <= motion_model.config.limits.angles_deg).all()

    run(test())


def test_sessions_that_move_together_move_as_alone(motion_model, pcm) -> None:
    async def test() -> None:
        alone = [Client(motion_model, seed=n) for n in range(5)]
        together = [Client(motion_model, seed=n) for n in range(5)]
        for step in range(20):
            for number, client in enumerate(alone):
                await client.say(pcm(0.03 + 0.01 * number, step))
            for number, client in enumerate(together):
                client.session.hear(pcm(0.03 + 0.01 * number, step), client.now_s)
            works = [(client.session, work) for client in together if (work := client.session.due(client.now_s))]
            for (session, work), done in zip(works, move([(s.mover, w) for s, w in works]), strict=True):
                assert not isinstance(done, Exception), done
                session.give(work, done, 0)
        for one, other in zip(alone, together, strict=True):
            await one.read()
            await other.read()
            assert np.abs(one.poses - other.poses).max() < 1e-5

    run(test())
