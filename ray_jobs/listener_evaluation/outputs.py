"""What an evaluation leaves behind: metrics, motions, pages, and the model card."""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic_core import from_json, to_json

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS
from rapport.core.voice_signals import SIGNALS
from rapport.datasets.synthetic.head_motion import LAGS_S
from rapport.models.saving import CARD
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.listener_evaluation.measure import Measured, Moved
from rapport.ray_jobs.listener_evaluation.subject import Contender, Subject
from rapport.ray_jobs.listener_evaluation.voice import PLANTED
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.reports.listener import listener_page
from rapport.ray_jobs.reports.listener_card import listener_card
from rapport.ray_jobs.reports.model_card import training_data
from rapport.ray_jobs.reports.motion import MAX_MOTIONS, motion_page
from rapport.ray_jobs.training_runs.run_folder import absolute

METRICS, PREDICTIONS, PAGE, TURNS = "metrics.json", "predictions.parquet", "index.html", "turns"
_BRIEF = ("offset_removed_mae_deg", "mae_deg", "correlation", "lagged_correlation", "lag_s", "std_ratio", "frechet_deg2", "nods_per_minute")
_BY_FOLD = ("offset_removed_mae_deg", "mae_deg", "correlation", "lagged_correlation", "lag_s", "variance_ratio", "std_ratio", "speed_deg_s")
_SHORTEST_SHOWN_S = 3.0

PREDICTION_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("system", "turn_id", "session", "listener")),
        pa.field("seed", pa.int64()),
        pa.field("frame_rate_hz", pa.int32(), nullable=False),
        *(pa.field(name, pa.list_(pa.float32()), nullable=False) for name in ROTATIONS),
    ]
)
"""`predictions.parquet`: the motion of every turn in degrees, by system and seed; the system `truth` is what happened."""


def evaluation_folder(subject: Subject, config: EvaluateListenerConfig) -> str:
    """`<storage>/runs/evaluate_listener/<name>`."""
    made = "+".join(contender.name.replace("/", "-") for contender in subject.contenders)
    return storage.join(absolute(config.storage), "runs", "evaluate_listener", config.name or made)


def figures(subject: Subject, moved: Moved, config: EvaluateListenerConfig) -> dict[str, Any]:
    """`about`; `systems`, everything about each; `differences`, the first system less each other, with intervals of the difference;
    `planted`, the lags of made conversations beside those that were found, and None of others."""
    first, *others = moved.measured
    reports = {name: _report(subject, one, config) for name, one in moved.measured.items()}
    mine = moved.measured[first].tally
    options = {"resamples": config.resamples, "seed": config.seed}
    found = {
        "about": {
            "first": first,
            "systems": list(moved.measured),
            "sessions": list(subject.folds),
            "turns": len(moved.truths),
            "seconds": reports[first]["frames"] / subject.rate_hz / subject.repeats,
            "listeners": len({truth.turn.listener for truth in moved.truths.values()}),
            "repeats": subject.repeats,
            "frame_rate_hz": subject.rate_hz,
            "latency_s": reports[first]["latency_s"],
            "relative": any(c.settings.pose == "relative" for c in subject.contenders),
            "signals": list(SIGNALS),
            "made": subject.made,
            "held_out": not any(c.trained_on for c in subject.contenders),
            "data": subject.poses,
            "seed": config.seed,
            "revision": revision(),
            "warnings": list(subject.warnings),
        },
        "systems": reports,
        "differences": {other: mine.minus(moved.measured[other].tally, **options) for other in others},
        "planted": _planted(reports) if subject.made else None,
    }
    # JSON has no NaN: what is undefined is null.
    plain: dict[str, Any] = from_json(to_json(found, inf_nan_mode="null"))
    return plain


def write_predictions(folder: str, subject: Subject, moved: Moved) -> None:
    """The motion of every system that moves by itself, and the true one."""
    seeds = {c.name: c.seeds for c in subject.contenders}
    given: list[tuple[str, int, Mapping[str, Any]]] = [("truth", 0, {turn: truth.degrees for turn, truth in moved.truths.items()})]
    for name, one in moved.measured.items():
        if one.system.contender is not None:
            given += [(name, number, motions) for number, motions in enumerate(moved.motions[name])]
    rows = []
    for name, number, motions in given:
        contender = moved.measured[name].system.contender if name != "truth" else None
        for turn_id, degrees in motions.items():
            turn = moved.truths[turn_id].turn
            known = {"system": name, "turn_id": turn_id, "session": turn.session, "listener": turn.listener}
            seed = seeds[contender.name][turn.session][number] if contender else None
            angles = dict(zip(ROTATIONS, degrees.T, strict=True))
            rows.append({**known, "seed": seed, "frame_rate_hz": subject.rate_hz, **angles})
    storage.write_table(storage.join(folder, PREDICTIONS), pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA))


def write_turns(folder: str, subject: Subject, moved: Moved, config: EvaluateListenerConfig) -> list[dict[str, str]]:
    """Pages on some turns, and what the front page says of each: `link`, `title`, `what`."""
    storage.remove(storage.join(folder, TURNS))  # of an earlier evaluation of this name
    systems = _shown_systems(moved)
    # Where the head is held is nothing that a model of relative angles could know: seen beside a stranger's pose, its motion would be lost.
    relative = subject.contenders[0].settings.pose == "relative"
    shown = []
    for number, turn_id in enumerate(draw_turns(moved, subject.rate_hz, config.shown, config.seed)):
        truth = moved.truths[turn_id]
        motions = {"truth": truth.degrees, **{name: moved.motions[name][0][turn_id] for name in systems}}
        if relative:
            motions = {name: degrees - degrees.mean(0) for name, degrees in motions.items()}
        seconds = len(truth.degrees) / subject.rate_hz
        said = truth.turn.emotion or "no emotion told"
        title = turn_id.rpartition("/")[2]
        page = motion_page(
            title,
            motions,
            subject.rate_hz,
            subject.speech.waveform(turn_id),
            {"listener": truth.turn.listener, "the speaker is": said, "angles": "about the mean of each" if relative else "absolute"},
        )
        link = f"{TURNS}/{number:02d}.html"
        storage.write_bytes(storage.join(folder, link), page.encode())
        shown.append({"link": link, "title": title, "what": f"{seconds:.0f} s, {said}; {truth.turn.listener.rpartition('/')[2]} listens"})
    return shown


def draw_turns(moved: Moved, rate_hz: int, most: int, seed: int) -> list[str]:
    """Turns to show, drawn by the seed, one of each listener before a second of any; short ones only where there are no others."""
    enough = [turn for turn, truth in sorted(moved.truths.items()) if len(truth.degrees) >= _SHORTEST_SHOWN_S * rate_hz]
    names = enough or sorted(moved.truths)
    Random(seed).shuffle(names)
    seen: Counter[str] = Counter()
    order: list[tuple[int, int, str]] = []
    for turn in names:
        listener = moved.truths[turn].turn.listener
        order.append((seen[listener], len(order), turn))
        seen[listener] += 1
    return [turn for _, _, turn in sorted(order)[:most]]


def write_page(folder: str, metrics: Mapping[str, Any], turns: Sequence[Mapping[str, str]]) -> str:
    """The front page; gives its path."""
    path = storage.join(folder, PAGE)
    storage.write_bytes(path, listener_page(metrics, turns).encode())
    return path


def write_card(subject: Subject, metrics: Mapping[str, Any]) -> str:
    """The model card in the folder of the first model, or of its folds; gives its path.

    Raises RapportError when the folder cannot be written to.
    """
    first = subject.contenders[0]
    rows = [row for row in subject.speech.rows if row.utterance_id in subject.turns]
    folds = {posixpath.basename(run) for runs in first.runs.values() for run in runs} - {posixpath.basename(first.folder)}
    seeds = sorted({seed for seeds in first.seeds.values() for seed in seeds})
    training = {
        "parameters": f"{first.parameters:,}",
        "epochs": first.epochs,
        "seeds": ", ".join(map(str, seeds)),
        "code revision of this evaluation": metrics["about"]["revision"],
    }
    card = listener_card(
        first.name, first.settings, metrics, trained_on=[training_data("iemocap", rows)], training=training, folds=sorted(folds)
    )
    path = storage.join(first.folder, CARD)
    try:
        storage.write_bytes(path, card.encode())
    except OSError as error:
        raise RapportError(f"the model card cannot be written to {path} ({error}): set write_card to false") from error
    return path


def brief(system: Mapping[str, Any]) -> dict[str, Any]:
    """A system's main figures in a few numbers."""
    return {"kind": system["kind"], **{name: system["figures"][name]["value"] for name in _BRIEF if name in system["figures"]}}


def summary(system: Mapping[str, Any]) -> str:
    """One line for people."""
    found = brief(system)
    error, follows = found.get("offset_removed_mae_deg"), found.get("lagged_correlation")
    told = [] if error is None else [f"error {error:.2f} degrees, offset removed"]
    return ", ".join(told + ([] if follows is None else [f"correlation {follows:.2f} at the best lag"])) or "no turn was long enough"


def _report(subject: Subject, one: Measured, config: EvaluateListenerConfig) -> dict[str, Any]:
    system, contender = one.system, one.system.contender
    streams = contender is not None and contender.settings.streams
    known = {
        "kind": system.kind,
        "what": system.what,
        "model": contender.folder if contender else None,
        "settings": contender.settings.model_dump(mode="json") if contender else None,
        "parameters": contender.parameters if contender else None,
        "latency_s": contender.settings.latency_s if contender and streams else None,
    }
    seeds = _seed_names(contender, len(one.by_seed)) if contender else []
    by_seed = [{"seed": seed, "figures": dict(values)} for seed, values in zip(seeds, one.by_seed, strict=True)]
    by_fold = {session: {name: values[name] for name in _BY_FOLD if name in values} for session, values in one.by_fold.items()}
    return {
        **known,
        **one.tally.report(resamples=config.resamples, seed=config.seed),
        "by_seed": by_seed,
        "by_fold": by_fold,
        "over_folds": spread_over(list(by_fold.values())),
        "over_seeds": spread_over([{name: values[name] for name in _BY_FOLD if name in values} for values in one.by_seed]),
        "published": dict(one.published),
    }


def spread_over(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Of each figure that all rows have: `mean` and `deviation` over them, the latter with one degree of freedom taken off; of one row it
    is None."""
    names = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    values = {name: np.array([row[name] for row in rows], np.float64) for name in names}
    return {
        name: {"mean": float(found.mean()), "deviation": float(found.std(ddof=1)) if len(found) > 1 else None}
        for name, found in values.items()
    }


def _seed_names(contender: Contender, count: int) -> list[str]:
    """What to call the seeds: their numbers, where those are the same in all folds."""
    names = []
    for number in range(count):
        found = {seeds[number] for seeds in contender.seeds.values() if len(seeds) > number}
        names.append(str(found.pop()) if len(found) == 1 else f"no. {number + 1}")
    return names


def _planted(reports: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each angle what it follows, the planted lag, that in the true motion and in the motion of every model."""
    models = {name: report["figures"] for name, report in reports.items() if report["kind"] in ("model", "drawn")}
    rows = []
    for angle, signal in PLANTED.items():
        key = f"{signal}_{angle}_lag_s"
        truth = next(iter(models.values())).get(f"truth_{key}")
        recovered = {name: found.get(key) for name, found in models.items()}
        rows.append({"angle": angle, "signal": signal, "planted_s": LAGS_S[angle], "truth": truth, "recovered": recovered})
    return rows


def _shown_systems(moved: Moved) -> list[str]:
    """The systems that a page of a turn plays beside the truth: the first, its drawn motion, other models, and a baseline."""
    rank = {"model": 0, "drawn": 1, "baseline": 2, "control": 3}
    names = sorted(moved.measured, key=lambda name: rank[moved.measured[name].system.kind])
    still = [name for name in names if moved.measured[name].system.kind == "baseline"][:1]
    return [*[name for name in names if name not in still][: MAX_MOTIONS - 1 - len(still)], *still]
