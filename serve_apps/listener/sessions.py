"""One client's motion without a network: audio of any rate and cut in, poses out, nothing that grows without bound.

A session has two halves. `Session` is what the event loop sees: audio that waits to be heard, poses that wait to be read, and clocks.
`Mover` is what the model's thread sees: the motion stream between two resamplers. `Work` goes from the one to the other, `Done` back.

The timeline of the poses is that of the client's audio, with time for which none came put in where it was missed (`missed_s` in all), and
what was dropped left out (`dropped_s` in all).
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rapport.core.audio import from_pcm16
from rapport.core.errors import RapportError
from rapport.core.pose import PoseFrame
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.streaming import MotionStream, push_many
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.listener.messages import Start, poses_message
from rapport.serve_apps.listener.rates import AudioTo16k, PosesAt
from rapport.serve_apps.listener.settings import StreamSettings
from rapport.serve_apps.listener.tokens import SessionState, tail_text

_BYTES = 2  # a sample
# A client may be so far ahead of the clock, as one that plays a file is; one whose clock is a little fast gets no farther.
_AHEAD_S = 30.0
# A token costs the motion of all sessions some time, and a client some hundred kB of text.
_TOKEN_S = 1.0
_PONGS = 100  # to a client that acknowledges nothing


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for a session in a round."""

    pcm: bytes = b""
    """Audio, whole samples."""
    dropped: int = 0
    """Samples that were dropped before it."""
    lost_s: float = 0.0
    """For how long audio has been missed, where there is none."""
    state: bool = False
    """Whether a resume token is wanted."""
    finish: bool = False
    """Whether this is the end."""
    since_s: float = 0.0
    """When the oldest of the audio came."""


@dataclass(slots=True)
class Done:
    """What came of it."""

    poses: list[PoseFrame] = field(default_factory=list)
    missed_s: float = 0.0
    """All time for which no audio came."""
    dropped_s: float = 0.0
    """All audio that was dropped."""
    state: dict[str, Any] | None = None
    """The message with the token, if one was wanted."""


class Mover:
    """The half that moves, on one thread."""

    def __init__(self, model: HeadMotionModel, start: Start) -> None:
        """Raises RapportError when the model cannot do what is asked, or for a token that is not of this model."""
        state, token = SessionState.unpack(start.token) if start.token is not None else (None, b"")
        self.sample_rate_hz = state.sample_rate_hz if state else start.sample_rate_hz
        self.seed = state.seed if state else start.seed
        self.stream = MotionStream(model, self.seed)
        self.to_16k = AudioTo16k(self.sample_rate_hz)
        self.poses_at = PosesAt((state.rate_hz if state else start.rate_hz) or model.config.front_end.frame_rate_hz)
        self._dropped, self._missed_s = 0, 0.0
        if state:
            self.stream.restore(token)
            self._resume(state)
        self._heard_s = self.stream.time_s  # of the stream, when audio last came
        self.latency_s = self.stream.latency_s + self.to_16k.latency_s

    @property
    def samples(self) -> int:
        """Samples of the client's audio that are settled: a client that resumes goes on with the next."""
        return self.to_16k.taken + self._dropped

    @property
    def time_s(self) -> float:
        """The end of the timeline so far."""
        return self.stream.time_s + self._dropped / self.sample_rate_hz

    def hear(self, work: Work) -> np.ndarray:
        """The audio of some work, as the model's stream takes it."""
        self._dropped += work.dropped
        samples = self.to_16k.push(from_pcm16(work.pcm))
        return np.concatenate([samples, self.to_16k.finish()]) if work.finish else samples

    def conclude(self, work: Work, poses: list[PoseFrame]) -> Done:
        """What comes of some work, whose audio has given these poses."""
        if work.pcm:
            self._heard_s = self.stream.time_s
        elif work.lost_s:
            before_s = self.stream.time_s
            poses += self.stream.idle(self._heard_s + work.lost_s)
            self._missed_s += self.stream.time_s - before_s
        done = Done(missed_s=self._missed_s, dropped_s=self._dropped / self.sample_rate_hz)
        if work.finish:
            poses += self.stream.finish()
        shift_s = done.dropped_s
        done.poses = self.poses_at.push([pose._replace(time_s=pose.time_s + shift_s) for pose in poses] if shift_s else poses)
        if work.state and not work.finish:
            done.state = {"type": "state", "token": self.token(), "samples": self.samples, "time_s": round(self.time_s, 6)}
        return done

    def token(self) -> str:
        """All that is to be known of the session, as text."""
        last = self.poses_at.last
        state = SessionState(
            sample_rate_hz=self.sample_rate_hz,
            rate_hz=self.poses_at.rate_hz,
            seed=self.seed,
            samples=self.samples,
            taken=self.to_16k.taken,
            tail=tail_text(self.to_16k.tail),
            missed_s=self._missed_s,
            next_frame=self.poses_at.next,
            last_pose=None if last is None else (last.time_s, last.roll, last.pitch, last.yaw),
        )
        return state.pack(self.stream.state())

    def _resume(self, state: SessionState) -> None:
        tail = state.samples_before()
        if len(tail) != len(self.to_16k.tail) or state.taken > state.samples:
            raise RapportError("the resume token does not fit together: start a new stream")
        self.to_16k.resume(state.taken, tail)
        self.poses_at.next, self.poses_at.last = state.next_frame, None if state.last_pose is None else PoseFrame(*state.last_pose)
        self._dropped, self._missed_s = state.samples - state.taken, state.missed_s
        self.stream.push(np.zeros(0, np.float32))  # raises where the token is of a stream that had ended


def move(works: Sequence[tuple[Mover, Work]]) -> list[Done | Exception]:
    """What comes of the work of several sessions, whose audio is heard together; an error ends only the session in which it came up."""
    chunks = [mover.hear(work) for mover, work in works]
    moved = push_many([mover.stream for mover, _ in works], chunks)
    return [_concluded(mover, work, poses) for (mover, work), poses in zip(works, moved, strict=True)]


def _concluded(mover: Mover, work: Work, poses: list[PoseFrame]) -> Done | Exception:
    try:
        return mover.conclude(work, poses)
    except Exception as error:  # such as a token from outside may bring up, whose numbers are sound and make no sense
        return error


class Session:
    """The half that listens and tells, on the event loop."""

    def __init__(self, mover: Mover, settings: StreamSettings, now_s: float) -> None:
        """`now_s` is the time of a clock that `hear` and `due` go by too."""
        self.mover, self._settings = mover, settings
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises why the server has ended the session, once it has."""
        self._news = asyncio.Event()
        self._waiting = bytearray()
        self._dropped = 0
        self._since_s = self._seen_s = now_s
        self._due_s: float | None = None  # up to when audio has come; None before the first
        self._patience_s = settings.lost_after_s
        # A deque that is full lets go of its oldest.
        self._unread: deque[PoseFrame] = deque(maxlen=max(1, round(settings.max_unread_s * mover.poses_at.rate_hz)))
        self._lost_frames = 0
        self._told_s = self._read_s = mover.time_s  # of the timeline: sent, and acknowledged
        self._pongs = self._tokens = 0  # sent since the last acknowledgement
        self._deaf_since_s: float | None = None  # since when a client that never acknowledged anything should have
        self._acknowledges = False
        self._done, self._waited_s = Done(), 0.0
        self._state: dict[str, Any] | None = None
        self._state_s = 0.0  # the last pose that the token knows
        self._packed_s = -math.inf  # when a token was last wanted of the model's thread
        # What the client wants and has not got yet; the end is wanted, then under way, then there.
        self._pong = self._wants_state = self._finishing = self._finished = self._over = False

    def hear(self, data: bytes, now_s: float) -> None:
        """Take PCM16 of any length, half samples too."""
        if not data:
            return
        settings, rate_hz = self._settings, self.mover.sample_rate_hz
        if not self._waiting:
            self._since_s = now_s
        self._waiting += data
        excess = len(self._waiting) - round(settings.max_waiting_s * rate_hz) * _BYTES
        if excess > 0:
            excess += excess % _BYTES
            del self._waiting[:excess]
            self._dropped += excess // _BYTES
        self._seen_s = now_s
        length_s = len(data) / _BYTES / rate_hz
        # A chunk holds what was said before it came; of a client ahead of the clock it holds what follows the chunk before.
        self._due_s = max(now_s - length_s if self._due_s is None else self._due_s, now_s - length_s) + length_s
        self._patience_s = length_s + settings.lost_after_s

    def acknowledge(self, time_s: float, now_s: float) -> None:
        """The client has read the poses up to this time."""
        self._seen_s, self._read_s = now_s, max(self._read_s, min(time_s, self._told_s))
        self._pongs = self._tokens = 0
        self._acknowledges = True
        self._news.set()

    def wish(self, what: str, now_s: float) -> None:
        """The client wants a sign of life (`ping`), a token (`state`) or the end (`finish`)."""
        self._seen_s = now_s
        self._pong |= what == "ping"
        self._wants_state |= what == "state"
        self._finishing |= what == "finish"
        self._news.set()

    def is_gone(self, now_s: float) -> bool:
        """Whether the client has been silent for too long to be there."""
        self._seen_s = min(self._seen_s, now_s)  # a clock that went back
        return now_s - self._seen_s > self._settings.gone_after_s

    def is_deaf(self, now_s: float) -> bool:
        """Whether the client has got all that may be sent unread, and has not acknowledged anything, ever."""
        if self._acknowledges or not self._is_behind:
            return False
        self._deaf_since_s = now_s if self._deaf_since_s is None else min(self._deaf_since_s, now_s)
        return now_s - self._deaf_since_s > self._settings.gone_after_s

    def due(self, now_s: float) -> Work | None:
        """What is to be done now, if anything. It must be done, and `give` called, before the next is asked for."""
        if self._finished:
            return None
        whole = len(self._waiting) // _BYTES * _BYTES
        lost_s = 0.0
        if not whole and self._due_s is not None:
            self._due_s = min(self._due_s, now_s + _AHEAD_S)
            overdue_s = now_s - self._due_s
            lost_s = overdue_s if overdue_s > self._patience_s else 0.0
        state = self._wants_state and self._may_pack(now_s)
        if not (whole or lost_s or state or self._finishing):
            return None
        work = Work(bytes(self._waiting[:whole]), self._dropped, lost_s, state, self._finishing, self._since_s)
        del self._waiting[:whole]
        self._dropped, self._finished, self._since_s = 0, self._finishing, now_s
        if state:
            self._wants_state, self._packed_s = False, now_s
        return work

    def give(self, work: Work, done: Done, now_s: float) -> None:
        """Take what came of the work."""
        self._done = done
        if done.state:
            self._state, self._state_s = done.state, self.mover.poses_at.last_s
        if work.pcm:
            self._waited_s = max(0.0, now_s - work.since_s)
        self._lost_frames += max(0, len(self._unread) + len(done.poses) - (self._unread.maxlen or 0))
        self._unread.extend(done.poses)
        if done.poses or done.state or work.finish:
            self._news.set()
        self._over = work.finish

    def end(self, error: Exception) -> None:
        """End the session, as the server must."""
        if not self.ended.done():
            self.ended.set_exception(error)
            self.ended.exception()  # or the loop would complain where nobody asks for it

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What is to be sent, as it comes; ends with the motion.

        What is between here and the client may queue without bound, and no sending waits for it. So nothing more is sent to a client that
        has too much to acknowledge, but for the little that is left at the end.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            if self._is_behind and not self._over:
                continue
            # A token comes right after the poses that it knows, or a client that resumes would get some twice, or never.
            frames, state = self._readable(), self._state
            self._state = None
            if frames:
                self._told_s = frames[-1].time_s
                yield poses_message(frames, **self._facts())
            if state:
                self._tokens += 1
                self._news.set()
                yield state
            if self._pong and self._pongs < _PONGS:
                self._pong = False
                self._pongs += 1
                yield {"type": "pong"}
            if self._over and not self._unread:
                yield {"type": "finished", "time_s": round(self.mover.time_s, 6), "samples": self.mover.samples, **self._facts()}
                return

    def _readable(self) -> list[PoseFrame]:
        """The poses that are to be sent: all, or those that the token knows."""
        known = len(self._unread) if self._state is None else sum(frame.time_s <= self._state_s for frame in self._unread)
        return [self._unread.popleft() for _ in range(known)]

    @property
    def _is_behind(self) -> bool:
        return self._told_s - self._read_s > self._settings.max_unread_s

    def _may_pack(self, now_s: float) -> bool:
        """Whether the client may have a token now."""
        self._packed_s = min(self._packed_s, now_s)  # a clock that went back
        return not (self._state or self._tokens or self._is_behind) and now_s - self._packed_s >= _TOKEN_S

    def _facts(self) -> dict[str, float]:
        done, waited_ms = self._done, 1000 * self._waited_s
        facts = {"missed_s": done.missed_s, "dropped_s": done.dropped_s, "lost_frames": self._lost_frames, "waited_ms": waited_ms}
        return {name: round(value, 6) for name, value in facts.items()}


def refused(error: RapportError) -> ApiError:
    """An error that the client can mend, as an answer."""
    return ApiError(400, str(error), code="cannot_stream")
