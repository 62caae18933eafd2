"""The turns of IEMOCAP in which somebody listens whose head was captured: whose voice is heard, whose head moves, and where both lie.

    index = index_turns("/data/IEMOCAP_full_release")
    write_turns(folder, index)

The actor who wears the markers, told by the name of the dialogue, listens while the other speaks. Every labelled utterance becomes a turn
or is dropped with a reason; nothing is lost in silence.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.datasets.card import read_card
from rapport.datasets.corpora import iemocap
from rapport.datasets.corpora.iemocap import Evaluation
from rapport.datasets.listener.channels import speaker_channels
from rapport.datasets.scan import audio_files, relative, stem

MOTION_NAMES: Mapping[str, str] = {"Ses05M_script01_1b": "Ses05M_script01_1"}
"""Dialogues whose motion is published under another name."""


class TurnsConfig(Config):
    """Which turns to take."""

    min_duration_s: float = Field(default=1.0, ge=0)
    """Shorter turns are dropped: little can be heard in them, and less seen."""
    keep_overlaps: bool = True
    """Keep turns during which the listener speaks too; they are marked either way."""
    decide_channels: bool = True
    """Read the recordings of whole dialogues, where there are any, to decide which channel is whose."""


@dataclass(frozen=True, slots=True)
class ListenerTurn:
    """One turn: one person speaks, the other's head moves."""

    turn_id: str
    """The utterance's id in prepared corpora: `iemocap/Ses01F_impro01_M003`."""
    session: str
    """`session1` ..., as the published splits are called."""
    dialogue: str
    """The dialogue's id in prepared corpora."""
    listener: str
    """Speaker id of who listens and wears the markers."""
    speaker: str
    """Speaker id of who speaks."""
    start_s: float
    """Where the turn begins in the recording of the dialogue."""
    end_s: float
    audio_path: str
    """The recording of the utterance."""
    channel: int | None
    """The speaker's channel in the recording of the dialogue; None where that is not there or does not tell."""
    mocap_path: str
    """Head motion over the same time."""
    emotion: str | None
    """Canonical emotion of the speaker; None is unlabelled."""
    valence: float
    """1 to 5, of the speaker, as the next two."""
    activation: float
    dominance: float
    overlaps: bool
    """Whether the listener says something during the turn."""

    @property
    def duration_s(self) -> float:
        """Length of the turn."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Dropped:
    """One utterance that is no turn."""

    turn_id: str
    reason: str
    """`own_turn`, `no_audio`, `no_motion`, `too_short`, `overlap`, `no_times`, or `not_prepared`: the prepared corpus does not hold it."""
    message: str


@dataclass(frozen=True, slots=True)
class TurnIndex:
    """All turns of a corpus, and what was dropped, both by id."""

    turns: list[ListenerTurn]
    dropped: list[Dropped]

    @property
    def reasons(self) -> dict[str, int]:
        """How many were dropped for each reason."""
        return dict(sorted(Counter(d.reason for d in self.dropped).items()))


TURNS_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("turn_id", "session", "dialogue", "listener", "speaker")),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("start_s", "end_s")),
        pa.field("audio_path", pa.string(), nullable=False),
        pa.field("channel", pa.int8()),
        pa.field("mocap_path", pa.string(), nullable=False),
        pa.field("emotion", pa.string()),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("valence", "activation", "dominance")),
        pa.field("overlaps", pa.bool_(), nullable=False),
    ]
)
"""`turns.parquet`: the fields of `ListenerTurn`."""
DROPPED_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("turn_id", "reason", "message")])
"""`dropped.parquet`."""


def index_turns(root: str, config: TurnsConfig | None = None) -> TurnIndex:
    """The turns of IEMOCAP below `root`, from names and tables, and from the recordings of dialogues where channels are decided.

    Raises RapportError when there is none.
    """
    config = config or TurnsConfig()
    evaluations, _ = iemocap.read_evaluations(root)
    recordings = _by_stem(audio_files(root, (".wav",)))
    motions = _by_stem(_motion_files(root))
    turns: list[ListenerTurn] = []
    dropped: list[Dropped] = []
    for dialogue, said in iemocap.by_dialogue(evaluations).items():
        whole = recordings.get(dialogue)
        channels = speaker_channels(whole, _stretches(said)) if whole and config.decide_channels else {}
        for evaluation in said:
            outcome = _turn(evaluation, said, channels, recordings, motions)
            if isinstance(outcome, ListenerTurn):
                outcome = _unwanted(outcome, config) or outcome
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
            else:
                turns.append(outcome)
    for name in sorted(n for n in recordings.keys() - evaluations.keys() if iemocap.parse_name(n)):
        dropped.append(Dropped(_id(name), "no_times", f"{recordings[name]}: no table in EmoEvaluation names it"))
    if not turns:
        counts = ", ".join(f"{n} {reason}" for reason, n in TurnIndex(turns, dropped).reasons.items())
        raise RapportError(
            f"{root}: no turn with a listener; dropped {counts or 'nothing'}. Wanted {iemocap.WANTED}, and sentences/MOCAP_head"
        )
    return TurnIndex(sorted(turns, key=lambda t: t.turn_id), sorted(dropped, key=lambda d: d.turn_id))


def write_turns(folder: str | Path, index: TurnIndex) -> None:
    """Write `turns.parquet` and `dropped.parquet`, each whole or not at all."""
    storage.write_table(storage.join(folder, "dropped.parquet"), pa.Table.from_pylist([asdict(d) for d in index.dropped], DROPPED_SCHEMA))
    storage.write_table(storage.join(folder, "turns.parquet"), pa.Table.from_pylist([asdict(t) for t in index.turns], TURNS_SCHEMA))


def read_turns(folder: str | Path) -> TurnIndex:
    """The index that `write_turns` wrote.

    Raises RapportError when there is none.
    """
    path = storage.join(folder, "turns.parquet")
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted the folder of an index of turns")
    names = [f.name for f in fields(ListenerTurn)]
    turns = [ListenerTurn(**row) for row in storage.read_table(path, names).to_pylist()]
    return TurnIndex(turns, [Dropped(**row) for row in storage.read_table(storage.join(folder, "dropped.parquet")).to_pylist()])


def _turn(
    evaluation: Evaluation,
    said: Sequence[Evaluation],
    channels: Mapping[str, int],
    recordings: Mapping[str, str],
    motions: Mapping[str, str],
) -> ListenerTurn | Dropped:
    """The turn of an utterance of a dialogue in which `said` is said."""
    utterance, name = evaluation.utterance, evaluation.name
    if name.speaker == name.wearer:
        return Dropped(_id(utterance), "own_turn", f"{utterance}: {name.wearer} wears the markers and speaks")
    if utterance not in recordings:
        return Dropped(_id(utterance), "no_audio", f"{utterance}: there is no {iemocap.recording_of(name, utterance)}")
    moved = MOTION_NAMES.get(name.dialogue, name.dialogue) + utterance.removeprefix(name.dialogue)
    motion = motions.get(utterance, motions.get(moved))
    if motion is None:
        return Dropped(_id(utterance), "no_motion", f"{utterance}: there is no sentences/MOCAP_head/{name.dialogue}/{utterance}.txt")
    own = (e for e in said if e.name.speaker == name.wearer)
    return ListenerTurn(
        turn_id=_id(utterance),
        session=f"session{name.session}",
        dialogue=_id(name.dialogue),
        listener=iemocap.actor(name.session, name.wearer),
        speaker=iemocap.actor(name.session, name.speaker),
        start_s=evaluation.start_s,
        end_s=evaluation.end_s,
        audio_path=recordings[utterance],
        channel=channels.get(name.speaker),
        mocap_path=motion,
        emotion=read_card("iemocap").label_map.get(evaluation.emotion),
        valence=evaluation.valence,
        activation=evaluation.activation,
        dominance=evaluation.dominance,
        overlaps=any(e.start_s < evaluation.end_s and e.end_s > evaluation.start_s for e in own),
    )


def _unwanted(turn: ListenerTurn, config: TurnsConfig) -> Dropped | None:
    """Why the settings drop a turn; None when they do not."""
    if turn.duration_s < config.min_duration_s:
        return Dropped(
            turn.turn_id, "too_short", f"{turn.turn_id} lasts {turn.duration_s:.2f} s, min_duration_s is {config.min_duration_s:g}"
        )
    if turn.overlaps and not config.keep_overlaps:
        return Dropped(turn.turn_id, "overlap", f"{turn.turn_id}: the listener speaks too, and keep_overlaps is off")
    return None


def _id(name: str) -> str:
    return f"iemocap/{name}"


def _stretches(said: Sequence[Evaluation]) -> dict[str, list[tuple[float, float]]]:
    return {letter: [(e.start_s, e.end_s) for e in said if e.name.speaker == letter] for letter in iemocap.GENDERS}


def _motion_files(root: str) -> list[str]:
    """Files of head motion of single utterances, without shadow files."""
    paths = storage.list_files(root, suffixes=(".txt",))
    return [p for p in paths if "MOCAP_head" in relative(root, p).split("/") and iemocap.parse_name(stem(p))]


def _by_stem(paths: Sequence[str]) -> dict[str, str]:
    """Base name to path; of several files with one name the least deep is kept, as the loader does."""
    return {stem(path): path for path in sorted(paths, key=lambda p: (p.count("/"), p), reverse=True)}
