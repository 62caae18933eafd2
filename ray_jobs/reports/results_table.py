"""One table of many runs: what they were, what made them, and how good they are."""

import csv
import fnmatch
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any, TextIO

import yaml

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.reports.page import interval, percent, render
from rapport.training.metrics import SCORES

# What says who and where rather than what was tried.
_NOT_TRIED = ("storage", "name", "fresh", "workers", "tracking")
_RIGHT = ("clips", "UAR", "WA", "macro-F1", "validation UAR", "seed")
_COLUMNS = ("name", "config_hash", "revision", "seed", "data", "measured_on", "count", *SCORES, "validation_uar")


@dataclass(frozen=True)
class Run:
    """One finished run."""

    name: str
    folder: str
    config_hash: str
    """Stands for all settings but name, seed and place: runs that repeat one another share it."""
    revision: str | None
    seed: int | None
    data: str
    measured_on: str
    """Which clips the figures are of: the test side, or validation when there is none."""
    count: int
    uar: float
    uar_interval: tuple[float, float] | None
    wa: float
    macro_f1: float
    validation_uar: float | None
    """What a training was selected by: the figure to choose between runs by, so that test clips stay unseen."""
    finished: str
    """UTC, to the second."""
    settings: Mapping[str, Any]
    """Every setting by its dotted name."""

    def as_json(self) -> dict[str, Any]:
        """The run as plain JSON values, without its settings."""
        return {name: value for name, value in asdict(self).items() if name != "settings"}


def collect_runs(root: str, names: Sequence[str] = ("*",)) -> list[Run]:
    """The finished runs in the folders directly below `root` whose name fits one of the patterns.

    Raises RapportError when there is none.
    """
    found = []
    for folder in storage.completed(root, "result.json"):
        name = folder.rsplit("/", 1)[-1]
        # An earlier run of the same name, moved aside, is not a result any more.
        if ".before-" not in name and any(fnmatch.fnmatch(name, pattern.strip()) for pattern in names):
            run = _read(folder)
            if run is not None:
                found.append(run)
    if not found:
        raise RapportError(f"no finished run in {root} is called {', '.join(names)}: a run is finished when it has a result.json")
    return found


def sort_runs(runs: Sequence[Run], by: str) -> list[Run]:
    """The runs by name, or else the largest (best, or latest) first."""
    if by == "name":
        return sorted(runs, key=lambda run: run.name)
    return sorted(runs, key=lambda run: getattr(run, by) or 0, reverse=True)


def changed_settings(runs: Sequence[Run]) -> list[str]:
    """Dotted names of the settings that are not the same in all runs."""
    keys = sorted({key for run in runs for key in run.settings if not key.startswith(_NOT_TRIED)})
    return [key for key in keys if len({repr(run.settings.get(key)) for run in runs}) > 1]


def means_of_repeats(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Config hash to `runs`, mean `uar` and `deviation`, of the settings that were run more than once on as many clips."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.config_hash].append(run)
    return {
        key: {"runs": len(group), "uar": fmean(run.uar for run in group), "deviation": stdev(run.uar for run in group)}
        for key, group in groups.items()
        if len(group) > 1
    }


def as_csv(runs: Sequence[Run], changed: Sequence[str]) -> str:
    """The runs as comma-separated values, with a column for each setting in `changed`."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([*_COLUMNS, "uar_low", "uar_high", "finished", *changed])
    for run in runs:
        low_high = run.uar_interval or ("", "")
        writer.writerow([*(getattr(run, c) for c in _COLUMNS), *low_high, run.finished, *(_plain(run.settings.get(k)) for k in changed)])
    return sink.getvalue()


def print_table(runs: Sequence[Run], changed: Sequence[str], means: Mapping[str, Mapping[str, float]], out: TextIO) -> None:
    """Print the runs for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("run", "config", "revision", "seed", "on", "clips", "UAR", "95 %", "WA", "macro-F1", "validation UAR", *changed):
        table.add_column(title, justify="right" if title in _RIGHT else "left", overflow="fold")
    for run in runs:
        scores = [percent(run.uar), interval(run.uar_interval), percent(run.wa), percent(run.macro_f1), percent(run.validation_uar)]
        row = [run.name, run.config_hash, run.revision or "–", str(run.seed), f"{run.data} ({run.measured_on})", str(run.count), *scores]
        table.add_row(*row, *(str(_plain(run.settings.get(key))) for key in changed))
    # A file has no width: 200 columns hold a row without folding it.
    console = Console(file=out, width=None if out.isatty() else 200)
    console.print(table)
    for key, mean in means.items():
        console.print(f"{key}: UAR {percent(mean['uar'])} ± {percent(mean['deviation'])} over {mean['runs']:.0f} runs")


def results_page(runs: Sequence[Run], changed: Sequence[str], means: Mapping[str, Mapping[str, float]], title: str) -> str:
    """A self-contained HTML page of the runs, whose columns sort."""
    rows = [{"run": run, "changed": [_plain(run.settings.get(key)) for key in changed]} for run in runs]
    return render("results.html", title=title, rows=rows, changed=changed, means=means)


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested mappings by its dotted name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}{key}.")
    else:
        yield prefix.removesuffix("."), value


def _read(folder: str) -> Run | None:
    """The run in a folder; None when its result holds no figures."""
    result = storage.read_json(storage.join(folder, "result.json"))
    settings = yaml.safe_load(storage.read_bytes(storage.join(folder, "config.yaml"))) or {}
    figures, measured_on = _figures(result)
    if figures is None:
        return None
    tried = {key: value for key, value in settings.items() if key not in (*_NOT_TRIED, "seed")}
    fs, inner = storage.resolve(storage.join(folder, "result.json"))
    saved_s = (fs.get_file_info(inner).mtime_ns or 0) / 1e9
    corpora = result.get("corpora") or settings.get("corpora") or []
    bounds = figures.get("uar_interval") or (figures.get("interval") or {}).get("uar")
    return Run(
        name=folder.rsplit("/", 1)[-1],
        folder=folder,
        config_hash=storage.content_key(tried),
        revision=result.get("revision"),
        seed=settings.get("seed"),
        data=", ".join(name.rstrip("/").rsplit("/", 1)[-1] for name in corpora),
        measured_on=measured_on,
        count=figures["count"],
        uar=figures["uar"],
        uar_interval=None if bounds is None else (bounds[0], bounds[1]),
        wa=figures["wa"],
        macro_f1=figures["macro_f1"],
        validation_uar=(result.get("validation") or {}).get("uar"),
        finished=datetime.fromtimestamp(saved_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        settings=dict(flatten(settings)),
    )


def _figures(result: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The figures that a result is judged by, and the clips that they are of."""
    if "uar" in result:
        return result, str(result.get("split", "test"))
    tests = result.get("tests") or {}
    if tests:
        name = "held_out" if "held_out" in tests else next(iter(tests))
        return tests[name], "test" if name == "held_out" else name
    return result.get("validation"), "validation"


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
