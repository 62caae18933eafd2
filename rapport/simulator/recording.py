"""Recordings as tables: a row for each turn, beside the sounds and pictures of the episodes that are to be heard and seen again.

    with DialogueRecorder("recordings/cafe", label="oracle") as recorder:
        ...
    for episode in read_recording("recordings/cafe").episodes():
        print(episode[0]["episode"], [turn["transcript"] for turn in episode])

turns/      Parquet, `SCHEMA`        audio/<episode>/<turn>_{said,reply,opening}.wav        images/<content>.png
"""

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rapport.core import storage
from rapport.simulator.media import RecordingError, encode_picture, encode_speech, keep
from rapport.simulator.recorder import Episode, RecordedTurn, Recorder

TURNS = "turns"
_TEXT = {
    "episode": "the episode's seed, which replays it",
    "label": "who acted",
    "scene_name": "",
    "opening": "the counterpart's opening line before the turn",
    "opening_audio": "file of it, empty when it was silent or not kept",
    "said": "what the agent said, when it acted by words",
    "said_audio": "file of its speech, empty for words or when not kept",
    "chosen_name": "item that it meant to ask for, empty where nobody told",
    "transcript": "what the counterpart heard",
    "verdict": "the judge's reply as it came",
    "reply": "what the counterpart said",
    "reply_audio": "file of it, empty when it was silent or not kept",
    "reason": "why the judge moved",
    "problem": "what was ignored of the verdict",
    "item_name": "what was handed over, empty for nothing",
    "failed": "which services could not answer",
}
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False, metadata={"what": what}) for name, what in _TEXT.items()),
        *(pa.field(name, pa.int32(), nullable=False) for name in ("number", "turn", "scene_id", "next_scene_id", "chosen", "item_id")),
        *(pa.field(name, pa.list_(pa.string()), nullable=False) for name in ("offered", "pictures", "best")),
        *(pa.field(name, pa.list_(pa.float64()), nullable=False) for name in ("internal_state", "internal_state_after")),
        *(pa.field(name, pa.bool_(), nullable=False) for name in ("terminated", "truncated", "silent")),
        pa.field("clipped", pa.int64(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("reward", "said_s", "judge_s", "ears_s", "voice_s", "pictures_s")),
    ]
)
"""Of the table. `chosen` is the place of a picture in the offer, -1 for none; `said_s` the length of the agent's speech; `judge_s` and so
on are seconds that the step waited, batches of other dialogues included."""


class DialogueRecorder(Recorder):
    """Writes a recording. A folder that holds one already is added to."""

    def __init__(
        self,
        folder: str,
        *,
        rate_hz: int,
        scene_names: Mapping[int, str] | None = None,
        label: str = "",
        media: int | None = None,
        rows_per_file: int = 512,
    ) -> None:
        """`media` is how many episodes keep their sounds and pictures, the first that begin; all unless given. `rate_hz` is the
        simulator's; `rows_per_file` turns are gathered before they are written.

        Raises RecordingError for a folder whose recording cannot be read.
        """
        super().__init__()
        self.folder = folder
        self._rate_hz, self._names, self._label, self._media = rate_hz, dict(scene_names or {}), label, media
        self._rows: list[dict[str, Any]] = []
        self._rows_per_file = rows_per_file
        self._kept: set[str] = set()
        earlier = read_recording(folder).turns if storage.exists(self._path(TURNS)) else []
        self._files = len(storage.list_files(self._path(TURNS))) if earlier else 0
        self._begun = self._first = 1 + max((turn["number"] for turn in earlier), default=-1)

    def write(self, episode: Episode) -> None:
        keeps = self._media is None or episode.number < self._first + self._media
        for number, turn in enumerate(episode.turns, start=1):
            self._rows.append(self._row(episode, number, turn, keeps))
        if len(self._rows) >= self._rows_per_file:
            self._flush()

    def close(self) -> None:
        super().close()
        self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        path = self._path(TURNS, f"part-{self._files:05d}.parquet")
        try:
            storage.write_table(path, pa.Table.from_pylist(self._rows, schema=SCHEMA))
        except OSError as error:
            raise RecordingError(f"cannot record {len(self._rows)} turns to {path}: {error}; make room, or record elsewhere") from error
        self._files += 1
        self._rows = []

    def _row(self, episode: Episode, number: int, turn: RecordedTurn, keeps: bool) -> dict[str, Any]:
        step, info, before = turn.step, turn.step.info, turn.step.previous
        assert before is not None
        said = step.action
        feedback = step.next.dialogue_feedback
        place = f"{episode.number:06d}_{episode.seed}/{number}"
        reply = feedback.response_waveform if feedback and info["reply"] else None
        timings = info["timings"]
        return {
            "episode": episode.seed,
            "label": self._label,
            "number": episode.number,
            "turn": number,
            "scene_id": before.dialogue_scene.scene_id,
            "scene_name": self._names.get(before.dialogue_scene.scene_id, ""),
            "next_scene_id": step.next.dialogue_scene.scene_id,
            "opening": turn.met["opening"],
            "opening_audio": self._sound(f"{place}_opening", before.dialogue_scene.prompt_waveform if turn.met["opening"] else None, keeps),
            "offered": list(turn.met["offered"]),
            "pictures": [self._picture(image) for image in before.dialogue_scene.images] if keeps else [],
            "internal_state": before.internal_state.reshape(-1).tolist(),
            "internal_state_after": step.next.internal_state.reshape(-1).tolist(),
            "said": said if isinstance(said, str) else "",
            "said_audio": self._sound(f"{place}_said", said if isinstance(said, np.ndarray) else None, keeps),
            "said_s": len(said) / self._rate_hz if isinstance(said, np.ndarray) else 0.0,
            "chosen": int(turn.told.get("chosen", -1)),
            "chosen_name": str(turn.told.get("chosen_name", "")),
            "best": list(turn.told.get("best", ())),
            "reply_audio": self._sound(f"{place}_reply", reply, keeps),
            **{key: info[key] for key in ("transcript", "verdict", "reply", "reason", "problem", "item_id", "item_name", "failed")},
            **{key: info[key] for key in ("silent", "clipped")},
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated,
            **{key: getattr(timings, key) for key in ("judge_s", "ears_s", "voice_s", "pictures_s")},
        }

    def _sound(self, name: str, samples: np.ndarray | None, keeps: bool) -> str:
        if samples is None or not keeps or not samples.any():
            return ""
        path = f"audio/{name}.wav"
        keep(self._path(path), encode_speech(samples, self._rate_hz))
        return path

    def _picture(self, picture: np.ndarray) -> str:
        data = encode_picture(picture)
        path = f"images/{hashlib.sha256(data).hexdigest()[:16]}.png"
        if path not in self._kept:
            keep(self._path(path), data)
            self._kept.add(path)
        return path

    def _path(self, *parts: str) -> str:
        return storage.join(self.folder, *parts)


@dataclass(frozen=True)
class Recording:
    """A recording that was read."""

    folder: str
    turns: Sequence[Mapping[str, Any]]
    """Rows of `SCHEMA`, in the order in which they were written."""

    def episodes(self) -> list[list[Mapping[str, Any]]]:
        """The turns of each episode, in the order in which episodes began."""
        found: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
        for turn in self.turns:
            found.setdefault((turn["label"], turn["number"], turn["episode"]), []).append(turn)
        return [found[key] for key in sorted(found, key=lambda key: key[:2])]

    def bytes_of(self, path: str) -> bytes:
        """A sound or picture that a row names. Raises RecordingError when it is gone."""
        try:
            return storage.read_bytes(storage.join(self.folder, path))
        except OSError as error:
            raise RecordingError(f"{self.folder}: the recording names {path}, which cannot be read: {error}") from error


def read_recording(folder: str) -> Recording:
    """The recording in a folder. Raises RecordingError when there is none."""
    place = storage.join(folder, TURNS)
    files = storage.list_files(place, suffixes=(".parquet",)) if storage.is_folder(place) else []
    if not files:
        raise RecordingError(f"{folder} holds no recording: wanted {TURNS}/*.parquet, which a DialogueRecorder writes")
    rows: list[dict[str, Any]] = []
    for file in files:
        table = storage.read_table(file)
        if missing := sorted(set(SCHEMA.names) - set(table.column_names)):
            raise RecordingError(f"{posixpath.join(TURNS, posixpath.basename(file))} of {folder} lacks the columns {', '.join(missing)}")
        rows += table.select(SCHEMA.names).to_pylist()
    return Recording(folder, rows)
