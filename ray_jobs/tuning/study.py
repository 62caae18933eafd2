"""A search on disk: what is searched, and one JSON record a trial. A killed search is continued from these records alone.

Ray Tune keeps a state of its own, but as pickles, which would run code when read; and that state does not outlive a change of code.

    study.json           base settings and fields
    trials/<key>.json    one trial: params, state, history of (epoch, score)
    work/<key>/          its training, below a storage root of its own
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import yaml

from rapport.core import plugins, storage
from rapport.core.config import Config, ConfigError, find_preset, read_config, with_values
from rapport.core.errors import RapportError
from rapport.ray_jobs.tuning.config import TuneModelConfig

STUDY, TRIALS, WORK, PRESET = "study.json", "trials", "work", "best.yaml"
TRIAL_NAME = "trial"
# Says where and what on rather than how: no part of a preset.
_PLACE = ("storage", "name", "fresh", "seed", "workers", "tracking")
_MATERIAL = ("corpora", "test_corpora", "split", "test", "data", "units", "stage", "start_from", "stages", "folds", "seeds", "concurrent")

State = Literal["running", "finished", "stopped", "failed"]


@dataclass
class Record:
    """One trial."""

    params: dict[str, Any]
    """Searched field to value."""
    number: int = 0
    """Its place in the order in which trials were begun."""
    state: State = "running"
    """`stopped` is ended early because others did better."""
    history: list[tuple[int, float]] = field(default_factory=list)
    """(epoch, best score so far), in order."""
    error: str | None = None

    @property
    def key(self) -> str:
        """What the trial is called: equal parameters, equal key."""
        return trial_key(self.params)

    @property
    def score(self) -> float | None:
        """The best score that it reached."""
        return self.history[-1][1] if self.history else None

    @property
    def epochs(self) -> int:
        """How far it came."""
        return self.history[-1][0] if self.history else 0


@dataclass(frozen=True)
class Study:
    """A search and where it lies."""

    name: str
    folder: str
    space: ModuleType
    base: Any
    """The settings that trials start from, an instance of the space's CONFIG."""
    fields: dict[str, Any]
    """Dotted field to its domain, of Ray Tune's."""

    @property
    def job(self) -> ModuleType:
        """The job whose settings are searched."""
        return import_module(f"rapport.ray_jobs.{self.space.JOB}")

    @property
    def budget(self) -> int:
        """Epochs of a whole trial."""
        return int(self.space.budget(self.base))

    def settings(self, params: Mapping[str, Any]) -> Any:
        """The settings of the trial with these parameters.

        Raises ConfigError when they do not go together.
        """
        key = trial_key(params)
        return with_values(self.base, {**params, "storage": self.work(key), "name": TRIAL_NAME})

    def work(self, key: str) -> str:
        """The storage root of one trial."""
        return storage.join(self.folder, WORK, key)

    def save(self, record: Record) -> None:
        """Write the record of a trial."""
        storage.write_json(storage.join(self.folder, TRIALS, f"{record.key}.json"), asdict(record))

    def records(self) -> list[Record]:
        """The trials so far, in the order they were begun."""
        folder = storage.join(self.folder, TRIALS)
        if not storage.exists(folder):
            return []
        found = [storage.read_json(path) for path in storage.list_files(folder, suffixes=(".json",))]
        records = [Record(**{**r, "history": [(int(epoch), float(score)) for epoch, score in r["history"]]}) for r in found]
        return sorted(records, key=lambda r: (r.number, r.key))

    def best(self, records: list[Record]) -> Record:
        """The trial with the best score, the one begun first of equals.

        Raises RapportError with what went wrong when no trial reached any.
        """
        scored = [r for r in records if r.score is not None and r.state != "failed"]
        if not scored:
            errors = "; ".join(sorted({r.error for r in records if r.error})) or "none has got as far as a first evaluation"
            raise RapportError(f"no trial of {self.name} has a score: {errors}")
        sign = 1 if self.space.MODE == "max" else -1
        return max(scored, key=lambda r: sign * (r.score or 0.0))

    def preset(self, record: Record) -> str:
        """The trial's settings as a sparse preset of the job: what differs from the defaults, and nothing about place or data."""
        settings = with_values(self.base, record.params).model_dump(mode="json")
        sparse = _difference(settings, type(self.base)().model_dump(mode="json"))
        kept = {key: value for key, value in sparse.items() if key not in _PLACE + _MATERIAL}
        score = "not evaluated" if record.score is None else f"{self.space.METRIC} {record.score:.4f} on validation"
        head = f"# Found by tune_model --space {self.space.__name__.rsplit('.', 1)[-1]}: {score}, best of {record.epochs} epochs.\n"
        return head + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def open_study(config: TuneModelConfig) -> Study:
    """The search that a configuration describes, begun if it is new.

    Raises ConfigError for a base, setting or field that is wrong, and when an earlier search of this name was another one.
    """
    space = plugins.load("tune_spaces", config.space)
    job = space.JOB
    base: Config = read_config(space.CONFIG, find_preset(config.base, job)) if config.base else space.CONFIG()
    base = with_values(base, {"seed": config.seed, "storage": _absolute(config.storage), **_parse(config.settings)})
    applies = getattr(space, "applies", lambda field, base: True)
    wanted = [name.strip() for name in config.fields.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in space.SPACE]:
        raise ConfigError(f"fields: {', '.join(unknown)} not in the space {config.space}, which has {', '.join(space.SPACE)}")
    fields = {name: domain for name, domain in space.SPACE.items() if (not wanted or name in wanted) and applies(name, base)}
    if not fields:
        raise ConfigError(f"no field of {config.space} applies to this base: {', '.join(wanted or space.SPACE)}")
    name = config.name or config.space
    study = Study(name, storage.join(_absolute(config.storage), "runs", "tune_model", name), space, base, fields)
    _begin(study, config.fresh)
    return study


def trial_key(params: Mapping[str, Any]) -> str:
    """The key of the trial with these parameters."""
    return storage.content_key(dict(params))


def rounded(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with four significant digits: what is tried is what a preset can say."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in params.items()}


def _begin(study: Study, fresh: bool) -> None:
    path = storage.join(study.folder, STUDY)
    if fresh:
        storage.remove(study.folder)
    # What a trial runs on may change while a search goes on; what is searched may not.
    now = {"space": study.space.__name__, "fields": {k: str(v.domain_str) for k, v in study.fields.items()}}
    now["base"] = study.base.model_dump(mode="json", exclude={"storage", "workers", "tracking"})
    if not storage.exists(path):
        storage.write_json(path, now)
        return
    before = storage.read_json(path)
    if before != now:
        told = [part for part in now if before.get(part) != now[part]]
        raise ConfigError(
            f"the search {study.name!r} was begun with another {' and '.join(told)}: give it back, another --name, or --fresh"
        )


def _parse(settings: tuple[str, ...]) -> dict[str, Any]:
    pairs = [item.partition("=") for item in settings]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise ConfigError(f"settings: wanted KEY=VALUE, found {wrong[0]!r}")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def _difference(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What of nested settings differs from the defaults."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := _difference(value, default):
                found[key] = inner
        elif value != default:
            found[key] = value
    return found


def _absolute(path: str) -> str:
    return path if "://" in path else storage.resolve(path)[1]
