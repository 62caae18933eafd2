"""Answer audio files and folders: the user's emotion, what is said, and a reply with an emotion of its own.

    python -m rapport.ray_jobs.predict_emosds clip.wav                                    # JSON lines, the newest trained model
    python -m rapport.ray_jobs.predict_emosds recordings/ --history before.json --out answers.csv
    python -m rapport.ray_jobs.predict_emosds first.wav second.wav third.wav --session    # the turns of one dialogue

`--history` is a JSON list of turns, oldest first: [{"speaker": "assistant", "text": "Did you catch the bus?", "emotion": "neutral"}].
With `--session` each file is heard after those before it, with the emotions and words that the model itself found. A file that cannot be
answered gets a row that says why, and ends the job with status 1 once everything else is written.
"""

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import tyro
from pydantic import Field, TypeAdapter, ValidationError

from rapport.core import storage
from rapport.core.audio import AudioError, AudioLimits, Speech
from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.core.examples import ASSISTANT, USER
from rapport.core.progress import progress
from rapport.core.schema import Turn
from rapport.models.emosds.answer import emotion_named
from rapport.models.emosds.config import GenerationConfig
from rapport.models.find import find_model
from rapport.ray_jobs.audio_files import find_files, speech_of
from rapport.ray_jobs.runtime import job

if TYPE_CHECKING:
    from rapport.models.emosds.dialogue import DialogueEngine, Reply

_FORMATS = (".json", ".jsonl", ".csv")
_FIELDS = ("user_emotion", "transcript", "reply_emotion", "reply", "malformed")
_COLUMNS = ("path", "duration_s", *_FIELDS, "reason", "error")

Row = dict[str, Any]


class PredictEmosdsConfig(JobConfig):
    """Which recordings, after which turns, answered by which model."""

    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Audio files and folders, local or in an object store."""
    model: str = ""
    """Folder or URI of a trained model; empty takes the newest under the storage root."""
    codebook: str = ""
    """Folder or URI of its codebook, for a model folder that holds none."""
    encoder: str = ""
    """Where the weights of its speech encoder lie now; empty is where they lay when the codebook was fitted."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""
    history: str = ""
    """JSON file of the turns before the recordings."""
    session: bool = False
    """The recordings are the turns of one dialogue, in order."""
    replies: bool = True
    """Reply too; otherwise tell emotion and words alone."""
    generation: GenerationConfig = GenerationConfig(constrained=True)
    """How answers are written."""
    out: str = "-"
    """File to write: .json, .jsonl or .csv. `-` prints JSON lines as they come."""
    batch_size: int = Field(default=8, ge=1)
    """Recordings answered together; a session answers one after the other."""
    limits: AudioLimits = AudioLimits(max_duration_s=30)
    """What counts as a usable recording."""
    threads: int = Field(default=2, ge=1)
    """Files decoded at the same time."""
    max_bad_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of files that may come without an answer before the job counts as failed."""


def run(config: PredictEmosdsConfig) -> dict[str, Any]:
    """Answer every file, write a row for each, and count those without an answer and the malformed."""
    suffix = PurePosixPath(config.out).suffix.lower()
    if config.out != "-" and suffix not in _FORMATS:
        raise RapportError(f"--out {config.out}: wanted a name that ends in {', '.join(_FORMATS)}, or - for JSON lines on the terminal")
    paths = list(find_files(config.inputs))
    history = read_history(config.history) if config.history else []

    from rapport.models.emosds.engine import load_engine
    from rapport.models.emosds.lineage import usefulness

    folder = find_model(config.model, "emosds", config.storage, best=usefulness)
    engine = load_engine(folder, codebook=config.codebook, root=config.storage, encoder=config.encoder, device=config.device)
    size = 1 if config.session else config.batch_size
    rows: list[Row] = []
    with progress("answer", len(paths)) as advance, ThreadPoolExecutor(config.threads) as pool:
        for group in (paths[first : first + size] for first in range(0, len(paths), size)):
            found = answer_group(engine, group, list(pool.map(lambda path: speech_of(path, config.limits), group)), history, config)
            if config.session:
                history = [*history, *turns_of(found[0])]
            if config.out == "-":
                print(*(json.dumps(row, ensure_ascii=False) for row in found), sep="\n", flush=True)
            rows += found
            advance(len(group))
    if config.out != "-":
        storage.write_bytes(config.out, to_bytes(rows, suffix))
    bad = [row for row in rows if row["error"]]
    if len(bad) > config.max_bad_fraction * len(rows):
        told = "\n".join(f"  {row['path']}: {row['reason']}: {row['error']}" for row in bad[:10])
        raise RapportError(f"{len(bad)} of {len(rows)} files have no answer (max_bad_fraction is {config.max_bad_fraction:g}):\n{told}")
    malformed = sum(row["malformed"] is not None for row in rows)
    return {"model": folder, "files": len(rows), "bad": len(bad), "malformed": malformed, "out": config.out}


def read_history(path: str) -> list[Turn]:
    """The turns of a JSON file, whose emotions are names or tags.

    Raises RapportError for one that holds something else.
    """
    try:
        turns = TypeAdapter(list[Turn]).validate_json(storage.read_bytes(path))
    except (OSError, ValidationError) as error:
        raise RapportError(f"--history {path}: wanted a JSON list of turns with speaker, text and emotion: {error}") from error
    if unknown := [turn.speaker for turn in turns if turn.speaker not in (USER, ASSISTANT)]:
        raise RapportError(f"--history {path}: speaker is {unknown[0]!r}, wanted {USER} or {ASSISTANT}")
    try:
        return [turn if turn.emotion is None else replace(turn, emotion=emotion_named(turn.emotion)) for turn in turns]
    except RapportError as error:
        raise RapportError(f"--history {path}: {error}") from error


def answer_group(
    engine: "DialogueEngine",
    paths: Sequence[str],
    clips: Sequence[Speech | AudioError],
    history: Sequence[Turn],
    config: PredictEmosdsConfig,
) -> list[Row]:
    """A row for each path, in order."""
    from rapport.models.emosds.dialogue import Question, Reply

    good = [place for place, clip in enumerate(clips) if isinstance(clip, Speech)]
    questions = [
        Question(clip.samples, tuple(history), config.replies and engine.facts.replies, config.generation, config.seed)
        for clip in clips
        if isinstance(clip, Speech)
    ]
    answers: dict[int, Reply | Exception] = {}
    for number, item in (found for step in engine.stream(questions) for found in step):
        if isinstance(item, Reply | Exception):
            answers[good[number]] = item
    return [_row(path, clip, answers.get(place)) for place, (path, clip) in enumerate(zip(paths, clips, strict=True))]


def turns_of(row: Row) -> list[Turn]:
    """What a row adds to its dialogue: as much of the utterance and the reply as could be read."""
    said = ((USER, row["transcript"], row["user_emotion"]), (ASSISTANT, row["reply"], row["reply_emotion"]))
    return [Turn(speaker, text, emotion) for speaker, text, emotion in said if text]


def to_bytes(rows: Sequence[Row], suffix: str) -> bytes:
    """The rows as a file; CSV leaves out the scores."""
    if suffix == ".json":
        return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    sink = io.StringIO()
    table = csv.DictWriter(sink, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return sink.getvalue().encode()


def _row(path: str, clip: Speech | AudioError, answer: "Reply | Exception | None") -> Row:
    row: Row = {**dict.fromkeys(_COLUMNS), "path": path, "user_scores": None, "reply_scores": None}
    if isinstance(clip, AudioError):
        return row | {"reason": clip.reason, "error": str(clip)}
    row["duration_s"] = round(clip.duration_s, 3)
    if answer is None or isinstance(answer, Exception):
        if answer is not None and not isinstance(answer, RapportError):
            raise answer
        return row | {"reason": "no_answer", "error": str(answer or "the model gave none")}
    row |= {name: getattr(answer.answer, name) for name in _FIELDS}
    return row | {"user_scores": _rounded(answer.user_scores), "reply_scores": _rounded(answer.reply_scores)}


def _rounded(scores: dict[str, float] | None) -> dict[str, float] | None:
    return None if scores is None else {emotion: round(score, 6) for emotion, score in scores.items()}


if __name__ == "__main__":
    job(PredictEmosdsConfig, run)
