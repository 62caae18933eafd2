"""Features and poses of listener turns on one clock, made of a prepared corpus by the steps of `rapport.datasets.features`.

    make_maker = partial(MotionMaker, make_front_end, index.turns)
    plan = plan_motion(root, corpus, index.turns, make_front_end())
    for done in extract_chunks(plan, make_maker): ...
    result = assemble(plan, motion_facts(make_front_end()))
    features, pose = open_motion(result["folder"]).get("iemocap/Ses01F_impro01_M003")       # [T, D], [T, 3]

Frame k belongs to (k + 1) / frame_rate_hz seconds after the turn begins: its features end there, and its pose is the one at that time. S
samples at 16 kHz give T = floor(S * frame_rate_hz / 16000) frames. What makes features is not known here: `make_front_end()` gives it.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_count, frame_times_s
from rapport.core.pose import resample
from rapport.datasets.feature_store import FeatureStore
from rapport.datasets.features import Clip, FeaturePlan, Made, Refused, plan_features
from rapport.datasets.listener.mocap import Motion, MotionError, read_motion
from rapport.datasets.listener.turns import ListenerTurn
from rapport.datasets.prepared import PreparedCorpus

KIND = "listener"
TOLERANCE_S = 0.1
"""How long a turn may be without a pose, at its ends and within, and how far its recording may differ from it in length."""


class FrontEnd(Protocol):
    """What turns speech into features, one frame after the other on the clock above."""

    @property
    def width(self) -> int:
        """D, the numbers in a frame."""
        ...

    @property
    def frame_rate_hz(self) -> int:
        """Frames a second."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON that settles the features of a clip: equal identities give equal features."""
        ...

    def features(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[T, D] of 16 kHz speech [S]."""
        ...


class MotionMaker:
    """A `rapport.datasets.features.Maker` of the fields `features` [T, D] and `pose` [T, 3], both float32."""

    def __init__(self, make_front_end: Callable[[], FrontEnd], turns: Iterable[ListenerTurn], tolerance_s: float = TOLERANCE_S) -> None:
        self.front_end = make_front_end()
        self.turns = {turn.turn_id: turn for turn in turns}
        self.tolerance_s = tolerance_s

    def __call__(self, clips: Sequence[Clip]) -> list[Made | Refused]:
        """Features and poses of each clip. Raises RapportError for a clip that is no turn, and for a front end that keeps another clock."""
        return [self._make(clip) for clip in clips]

    def _make(self, clip: Clip) -> Made | Refused:
        turn = self.turns.get(clip.row.utterance_id)
        if turn is None:
            raise RapportError(f"{clip.row.utterance_id} is none of the {len(self.turns)} turns of the index: plan with the same index")
        rate_hz = self.front_end.frame_rate_hz
        frames = frame_count(len(clip.samples), rate_hz)
        if not frames:
            return Refused("too_short", f"{len(clip.samples)} samples are less than a frame at {rate_hz} Hz")
        duration_s = len(clip.samples) / SAMPLE_RATE_HZ
        if abs(duration_s - turn.duration_s) > self.tolerance_s:
            spans = f"the recording lasts {duration_s:.2f} s and the turn {turn.duration_s:.2f} s by EmoEvaluation"
            return Refused("audio_span", f"{turn.audio_path}: {spans}, tolerance_s is {self.tolerance_s:g}")
        try:
            motion = since_start(read_motion(turn.mocap_path), turn)
        except MotionError as error:
            return Refused(error.reason, str(error))
        if missing := _missing(motion, duration_s, self.tolerance_s):
            return Refused("motion_span", f"{turn.mocap_path}: {missing}, tolerance_s is {self.tolerance_s:g}")
        features = self.front_end.features(clip.samples)
        if features.shape != (frames, self.front_end.width):
            wanted = f"[{frames}, {self.front_end.width}] for {len(clip.samples)} samples at {rate_hz} Hz"
            raise RapportError(f"the front end gave features {list(features.shape)}, wanted {wanted}")
        if not np.isfinite(features).all():
            return Refused("not_finite", f"the front end gave {int((~np.isfinite(features)).sum())} numbers that are NaN or infinite")
        pose = resample(motion.times_s, motion.degrees, frame_times_s(frames, rate_hz))
        return Made({"features": features.astype(np.float32), "pose": pose.astype(np.float32)}, frames)


class MotionStore(FeatureStore):
    """Features and poses of the turns of one or more corpora, all of one front end."""

    def __init__(self, folders: Sequence[str]) -> None:
        super().__init__(folders)
        if self.facts["kind"] != KIND:
            raise RapportError(f"{self.folders[0]} holds {self.facts['kind']}: wanted features and poses of turns")
        self.frame_rate_hz: int = self.facts["frame_rate_hz"]
        self.width: int = self.facts["width"]
        """D of features."""
        self.front_end: Mapping[str, Any] = self.facts["front_end"]
        """Identity of what made the features."""

    def get(self, turn_id: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features [T, D] and pose [T, 3] (roll, pitch and yaw in degrees) of one turn.

        Raises RapportError for a turn that is not in the store.
        """
        if turn_id not in self:
            where = ", ".join(self.folders)
            raise RapportError(f"no turn {turn_id!r} in {where}: it was not in the index, or quarantine.parquet tells why it has no motion")
        return self._read(turn_id, "features"), self._read(turn_id, "pose")


def plan_motion(
    root: str,
    corpus: PreparedCorpus,
    turns: Sequence[ListenerTurn],
    front_end: FrontEnd,
    *,
    tolerance_s: float = TOLERANCE_S,
    chunk_size: int = 128,
) -> FeaturePlan:
    """The work on those rows of a prepared corpus that are turns; its folder lies below `<root>/features/listener`.

    It is found again as long as speech, motion, front end and tolerance are the same; `tolerance_s` is that of the maker. Raises
    RapportError when no row is a turn.
    """
    there = {row.utterance_id for row in corpus.rows}
    wanted = [turn for turn in turns if turn.turn_id in there]
    identity = {"kind": KIND, **motion_facts(front_end), "tolerance_s": tolerance_s, "motion": _digest(wanted)}
    return plan_features(root, identity, corpus, ids=[turn.turn_id for turn in wanted], chunk_size=chunk_size)


def motion_facts(front_end: FrontEnd) -> dict[str, Any]:
    """What readers are told about features and poses."""
    rate_hz = front_end.frame_rate_hz
    return {"frame_rate_hz": rate_hz, "hop_s": 1 / rate_hz, "width": front_end.width, "front_end": dict(front_end.identity)}


def open_motion(path: str | Path | Iterable[str], front_end: Mapping[str, Any] | None = None) -> MotionStore:
    """The features and poses in a folder (path or URI), or in several of one front end.

    Raises RapportError when there are none, they were not finished, or they are of another front end than the identity `front_end`.
    """
    store = MotionStore([str(path)] if isinstance(path, str | Path) else list(path))
    if front_end is not None and storage.content_key(front_end) != storage.content_key(store.front_end):
        raise RapportError(
            f"the features in {', '.join(store.folders)} are of the front end {dict(store.front_end)}, wanted those of {dict(front_end)}: "
            "build them with the front end of the model"
        )
    return store


def since_start(motion: Motion, turn: ListenerTurn) -> Motion:
    """The motion with times since the turn began, whether its file counts them from there or from the beginning of the dialogue."""
    first_s = motion.times_s[0]
    origin_s = turn.start_s if abs(first_s - turn.start_s) < abs(first_s) else 0.0
    return Motion(motion.times_s - origin_s, motion.degrees, motion.lost)


def _missing(motion: Motion, duration_s: float, tolerance_s: float) -> str | None:
    """Where a turn of that length is without a pose for longer than the tolerance; None when nowhere."""
    gaps_s = np.diff(np.clip(motion.times_s, 0, duration_s), prepend=0.0, append=duration_s)
    widest = int(gaps_s.argmax())
    if gaps_s[widest] <= tolerance_s:
        return None
    before_s = gaps_s[:widest].sum()
    reach = f"poses reach from {motion.times_s[0]:.2f} to {motion.times_s[-1]:.2f} s, {motion.lost} rows have a NaN"
    return f"no pose between {before_s:.2f} and {before_s + gaps_s[widest]:.2f} s of a turn of {duration_s:.2f} s ({reach})"


def _digest(turns: Sequence[ListenerTurn]) -> str:
    """Stands for the motion of the turns and for when they begin, wherever the files lie."""
    digest = hashlib.sha256()
    for turn in sorted(turns, key=lambda t: t.turn_id):
        motion = storage.read_bytes(turn.mocap_path) if storage.exists(turn.mocap_path) else b""
        digest.update(f"{turn.turn_id} {turn.start_s:.4f} {hashlib.sha256(motion).hexdigest()}\n".encode())
    return digest.hexdigest()
