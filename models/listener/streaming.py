"""Head motion while somebody speaks: audio in pieces of any size in, poses out as soon as they are due.

    stream = MotionStream(model)                     # or MotionStream(model, seed=0) for drawn motion
    poses = stream.push(samples)                     # [PoseFrame, ...] of the frames that these samples complete
    poses = stream.idle(now_s)                       # no audio has come: hold, then go back to rest
    poses = stream.finish()                          # the last look-ahead frames
    token = stream.state()                           # bytes; MotionStream(model).restore(token) goes on from there

Any cutting of the audio gives the poses of `HeadMotionModel.predict` within 1e-5 degrees. `push_many` and `idle_many` move many
streams at once, one product for all. Axes: S samples at 16 kHz, n frames, B streams, D width of a row of features.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_count, frame_time_s
from rapport.core.pose import PoseFrame
from rapport.models.listener.front_end import Floats, push_features
from rapport.models.listener.heads import Angles
from rapport.models.listener.memory import Memory, StreamingNetwork
from rapport.models.listener.model import HeadMotionModel, told
from rapport.models.listener.token import StreamFacts, pack, unpack

_AT_ONCE = 3  # frames due in one stream beyond which the stream moves by itself, all frames in one go
_PIECE = 1024  # frames at most in one go, which bounds the memory of a push of any length
_CATCH_UP_S = 1.0  # motion given at most for a gap that was too long to follow


class MotionStream:
    """One listener's motion. Its memory does not grow. One thread at a time; streams of one model may be moved together."""

    def __init__(self, model: HeadMotionModel, seed: int | None = None) -> None:
        """Without a seed the most probable motion; with one it is drawn, the same for the same seed.

        Raises RapportError when the model cannot stream, is not in evaluation mode or not on the CPU, or tells nothing to draw from.
        """
        config = model.config
        if not config.streams:
            raise RapportError(
                f"front_end.kind {config.front_end.kind} with network.kind {config.network.kind} needs the whole recording: "
                "to stream, set front_end.kind to causal and network.kind to tcn or lstm_linear"
            )
        if model.training or model.rest.device.type != "cpu":
            raise RapportError(f"the model is in training mode or on {model.rest.device}: call model.eval().cpu() before streaming")
        self.model = model
        # A stream goes on with the weights that it began with; to look whether they changed costs more than a step.
        self._fingerprint = model.fingerprint()
        self._rate_hz = config.front_end.frame_rate_hz
        self._ahead = config.network.look_ahead_frames
        self._network: StreamingNetwork = model.network  # type: ignore[assignment]
        self._features = model.front_end.stream()
        self._memory = self._network.memory()
        self._shaper = model.shaper(seed)
        self._drawn = seed is not None
        self._heard = 0  # samples up to the last that was audio, and not silence put in its place
        self._finished = False

    @property
    def time_s(self) -> float:
        """Seconds of audio, and of time without audio, so far."""
        return self._features.samples / SAMPLE_RATE_HZ

    @property
    def latency_s(self) -> float:
        """By how much the poses lag behind the speech by design, seconds."""
        return self.model.config.latency_s

    def push(self, samples: npt.NDArray[np.floating]) -> list[PoseFrame]:
        """The poses that become due with `samples` [S], float in [-1, 1] at 16 kHz; what is not finite is taken as silence.

        Raises RapportError for an array of another kind, or a finished stream.
        """
        return push_many([self], [samples])[0]

    def finish(self) -> list[PoseFrame]:
        """The poses of the last frames, as if nothing followed; after that the stream takes no more."""
        _check([self])
        self._finished = True
        if not self._ahead:
            return []
        # What lies beyond a recording is 0 to the network, as in `HeadMotionModel.forward`, and no sound.
        with torch.inference_mode():
            return self._extend(torch.zeros(self._ahead, self.model.width, dtype=self.model.rest.dtype))

    def idle(self, now_s: float) -> list[PoseFrame]:
        """The poses due up to `now_s`, seconds since the stream began, for which no audio has come.

        The last pose is held, then left for the resting pose; audio that comes later is heard as from `now_s` on. A clock that stands or
        goes back gives nothing. After `idle.forget_s` the stream has forgotten what it heard, and of a gap only the last second is given.
        """
        return idle_many([self], [now_s])[0]

    def state(self) -> bytes:
        """A token from which a stream of the same model goes on exactly; about as large as the network's memory."""
        facts = StreamFacts(
            model=self._fingerprint,
            samples=self._features.samples,
            heard=self._heard,
            noise_db=self._features.noise_db,
            finished=self._finished,
            shaper=self._shaper.state,
        )
        return pack(facts, {"tail": self._features.tail, "memory": self._memory.values})

    def restore(self, token: bytes) -> None:
        """Go on where the stream was that gave the token; what this one has heard is forgotten.

        Raises RapportError for a token that is damaged, of another model, or of drawn motion where this stream has no seed and the other
        way round; the stream is then as it was.
        """
        fresh = self._network.memory()
        facts, arrays = unpack(token, {"tail": self._features.tail, "memory": fresh.values})
        if facts.model != self._fingerprint:
            raise RapportError(f"the token is of model {facts.model[:12]}, this stream's is {self._fingerprint[:12]}: start a new stream")
        self._shaper.resume(facts.shaper)
        self._features.resume(facts.samples, facts.noise_db, arrays["tail"])
        self._memory = Memory(arrays["memory"], self._features.frames)
        self._heard, self._finished = facts.heard, facts.finished

    def _sleep(self, gap: int) -> list[PoseFrame]:
        """The poses at the end of a long gap of samples, over which the network begins afresh."""
        self._features.skip(gap)
        first = self._memory.frames - self._ahead
        self._memory = self._network.memory()
        self._memory.frames = self._features.frames
        last = self._memory.frames - self._ahead
        due = range(max(0, first, last - round(_CATCH_UP_S * self._rate_hz)), last)
        return [self._frame(frame, self._shaper.idle(self._lost_s(frame))) for frame in due]

    def _extend(self, rows: Tensor) -> list[PoseFrame]:
        """The poses that scaled rows [n, D] make due, all in one go."""
        return self._give(*told(self.model.decode(self._network.extend(rows, self._memory), self._drawn)))

    def _give(self, mean: Sequence[Sequence[float]], deviation: Sequence[Sequence[float] | None]) -> list[PoseFrame]:
        """The poses of the frames that the network has just been moved by, but for those of before the beginning."""
        poses = []
        first = self._memory.frames - len(mean) - self._ahead
        heard = frame_count(self._heard, self._rate_hz)
        for frame, told_mean, told_deviation in zip(range(first, first + len(mean)), mean, deviation, strict=True):
            if frame < 0:
                continue
            idle = frame >= heard
            poses.append(self._frame(frame, self._shaper.idle(self._lost_s(frame)) if idle else self._shaper(told_mean, told_deviation)))
        return poses

    def _lost_s(self, frame: int) -> float:
        return frame_time_s(frame, self._rate_hz) - self._heard / SAMPLE_RATE_HZ

    def _frame(self, frame: int, angles: Angles) -> PoseFrame:
        return PoseFrame(frame_time_s(frame, self._rate_hz), *angles)


def push_many(streams: Sequence[MotionStream], chunks: Sequence[npt.NDArray[np.floating]]) -> list[list[PoseFrame]]:
    """What `push` of each stream gives for its chunk, all moved together: streams of one model, each named once.

    Raises RapportError for a bad chunk or a finished stream, and then no stream has moved.
    """
    _check(streams)
    features = push_features([stream._features for stream in streams], chunks)
    for stream, chunk in zip(streams, chunks, strict=True):
        if len(chunk):
            stream._heard = stream._features.samples
    return step_many(streams, features)


def idle_many(streams: Sequence[MotionStream], now_s: Sequence[float]) -> list[list[PoseFrame]]:
    """What `idle` of each stream gives for its `now_s`, all moved together: streams of one model, each named once.

    Raises RapportError for a time that is not finite or a finished stream, and then no stream has moved.
    """
    _check(streams)
    if bad := [now for now in now_s if not np.isfinite(now)]:
        raise RapportError(f"now_s is {bad[0]}: wanted seconds since the stream began")
    gaps = [round(now * SAMPLE_RATE_HZ) - stream._features.samples for stream, now in zip(streams, now_s, strict=True)]
    poses: list[list[PoseFrame]] = [[] for _ in streams]
    awake = []
    for index, (stream, gap) in enumerate(zip(streams, gaps, strict=True)):
        if stream._features.samples + gap - stream._heard > stream.model.config.idle.forget_s * SAMPLE_RATE_HZ:
            poses[index] = stream._sleep(gap) if gap > 0 else []
        elif gap > 0:
            awake.append(index)
    following = [streams[index] for index in awake]
    features = push_features([stream._features for stream in following], [np.zeros(gaps[index], np.float32) for index in awake])
    for index, due in zip(awake, step_many(following, features), strict=True):
        poses[index] = due
    return poses


@torch.inference_mode()
def step_many(streams: Sequence[MotionStream], features: Sequence[Floats]) -> list[list[PoseFrame]]:
    """The poses that each stream's next features [n, D] make due; n may differ between streams and be 0.

    For features that were made elsewhere: `push_many` makes them from samples.
    """
    poses: list[list[PoseFrame]] = [[] for _ in streams]
    rounds: defaultdict[int, list[int]] = defaultdict(list)
    for index, own in enumerate(features):
        if len(own) > _AT_ONCE:
            for start in range(0, len(own), _PIECE):
                poses[index] += streams[index]._extend(streams[index].model.scaled(_rows(streams[index], own[start : start + _PIECE])))
        else:
            for frame in range(len(own)):
                rounds[frame].append(index)
    for frame, indices in rounds.items():
        first = streams[indices[0]]
        batch = np.stack([features[index][frame] for index in indices])
        hidden = first._network.step(first.model.scaled(_rows(first, batch)), [streams[index]._memory for index in indices])
        means, deviations = told(first.model.decode(hidden, any(streams[index]._drawn for index in indices)))
        for index, mean, deviation in zip(indices, means, deviations, strict=True):
            poses[index] += streams[index]._give([mean], [deviation])
    return poses


def _check(streams: Sequence[MotionStream]) -> None:
    """Raises RapportError unless the streams are open and can be moved together."""
    if any(stream._finished for stream in streams):
        raise RapportError("the stream is finished: start a new one")
    if len({id(stream) for stream in streams}) < len(streams) or len({id(stream.model) for stream in streams}) > 1:
        raise RapportError("these streams cannot be moved together: wanted streams of one model, each named once")


def _rows(stream: MotionStream, features: Floats) -> Tensor:
    """Features in the model's precision."""
    return torch.from_numpy(features.astype(stream._memory.values.dtype))
