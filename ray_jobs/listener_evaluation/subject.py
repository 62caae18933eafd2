"""What is evaluated: the models of each fold, the turns that they listen to, and the features and poses of those."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.listener.build import KIND
from rapport.datasets.listener.turns import ListenerTurn, read_turns
from rapport.datasets.prepared import PreparedCorpus, open_prepared
from rapport.datasets.synthetic.maker import RECIPE
from rapport.models.find import find_model, saved_at_ns
from rapport.models.listener.config import ListenerConfig
from rapport.models.saving import METRICS
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.listener_evaluation.motions import Fold
from rapport.ray_jobs.listener_training.config import NONE
from rapport.ray_jobs.listener_training.data import divide
from rapport.ray_jobs.training_runs.run_folder import absolute
from rapport.training.sampler import derive_seed


@dataclass(frozen=True)
class Contender:
    """A model, in one or more folds and seeds."""

    name: str
    """Unique in an evaluation."""
    folder: str
    """Its folder, or that of its folds."""
    settings: ListenerConfig
    features: str
    """Folder of the features that it hears."""
    runs: Mapping[str, tuple[str, ...]]
    """Session that was held out to model folders, by seed."""
    seeds: Mapping[str, tuple[int, ...]]
    """Session to the seeds of those."""
    trained_on: tuple[str, ...]
    """Sessions that a model to serve was trained on; none of the models of folds."""
    parameters: int
    epochs: int

    def describe(self) -> str:
        """What it is, in a few words."""
        network, front_end = self.settings.network, self.settings.front_end
        ahead = f", {network.look_ahead_frames} frames ahead" if network.look_ahead_frames else ""
        own = ", neither filtered nor limited" if network.gives_angles else ""
        return f"{network.kind} over {front_end.kind} features{ahead}{own}, {self.parameters:,} weights"


@dataclass(frozen=True)
class Subject:
    """One evaluation before it begins."""

    contenders: tuple[Contender, ...]
    poses: str
    """Folder that the true poses come from."""
    rate_hz: int
    speech: PreparedCorpus
    turns: Mapping[str, ListenerTurn]
    folds: Mapping[str, Fold]
    """Session to its turns and to those that its models were trained on."""
    repeats: int
    """Models of each fold, told apart by their seeds."""
    made: bool
    """Whether the corpus maker made the conversations, and planted lags in them."""
    warnings: tuple[str, ...]


def choose_subject(config: EvaluateListenerConfig) -> Subject:
    """The models, their features, and the turns of the sessions that none of them was trained on.

    Raises RapportError when a model or its features are not there, or when models cannot be compared: another rate, no session in common.
    """
    root = absolute(config.storage)
    contenders = [_contender(config, root, folder) for folder in _model_folders(config, root)]
    names = [contender.name for contender in contenders]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RapportError(f"two models are called {twice}: name each once, and give different ones different folders")
    manifests = [storage.read_manifest(contender.features) for contender in contenders]
    rates = {contender.name: contender.settings.front_end.frame_rate_hz for contender in contenders}
    if len(set(rates.values())) > 1:
        raise RapportError(f"the models move at different rates, {rates}: evaluate those of one front_end.frame_rate_hz together")
    speech = open_prepared(manifests[0]["prepared"])
    turns = _turns(speech, [contender.features for contender in contenders])
    sessions, warnings = _sessions(config, contenders, turns)
    repeats = min(len(contender.runs[session]) for contender in contenders for session in sessions)
    for contender in contenders:
        most = max(len(contender.runs[session]) for session in sessions)
        if most > repeats:
            warnings.append(f"{contender.name}: {repeats} of {most} seeds are used, as not every fold and model has more")
    return Subject(
        contenders=tuple(contenders),
        poses=contenders[0].features,
        rate_hz=rates[names[0]],
        speech=speech,
        turns=turns,
        folds={session: _fold(session, turns, config) for session in sessions},
        repeats=repeats,
        made=_is_made(manifests[0]["prepared"]),
        warnings=tuple(warnings),
    )


def _model_folders(config: EvaluateListenerConfig, root: str) -> list[str]:
    """The folders of the models, each that of one model or the home of its folds."""
    home = storage.join(root, "models", "listener")
    if not config.models:
        files = storage.list_files(home, suffixes=("config.json",)) if storage.exists(home) else []
        saved = [posixpath.dirname(path) for path in files if posixpath.basename(path) == "config.json"]
        if not saved:
            raise RapportError(f"no model in {home}: train one with `python -m rapport.ray_jobs.train_listener`, or name one with --models")
        newest = max(saved, key=lambda folder: (saved_at_ns(folder), folder))
        return [storage.join(home, newest.removeprefix(f"{home}/").split("/")[0])]
    named = (storage.join(home, name) for name in config.models)
    return [absolute(place if storage.exists(place) else name).rstrip("/") for place, name in zip(named, config.models, strict=True)]


def _contender(config: EvaluateListenerConfig, root: str, folder: str) -> Contender:
    runs: dict[str, dict[int, str]] = {}
    # The model that is served may lie beside those of the folds, which alone can be judged on sessions that they have not heard.
    places = list(storage.completed(folder, "config.json")) or [find_model(folder, KIND)]
    for place in places:
        if not storage.exists(storage.join(place, METRICS)):
            raise RapportError(f"{place} has no {METRICS}: wanted a model that train_listener made, which tells what it was trained on")
        trained = storage.read_json(storage.join(place, METRICS))
        sessions = [trained["fold"]] if trained["fold"] != NONE else config.sessions or trained["sides"]["validation"]["sessions"]
        for session in sessions:
            runs.setdefault(session, {})[trained["seed"]] = place
    seeds = {session: sorted(found) for session, found in sorted(runs.items())}
    first = places[0]
    saved, trained = storage.read_json(storage.join(first, "config.json")), storage.read_json(storage.join(first, METRICS))
    if saved["kind"] != KIND:
        raise RapportError(f"{folder} holds a {saved['kind']!r} model: wanted one that train_listener made")
    parent, base = folder.split("/")[-2:]
    return Contender(
        name=f"{parent}-{base}" if places == [folder] and trained["fold"] != NONE else base,
        folder=folder,
        settings=ListenerConfig.model_validate(saved["model"]),
        features=_features(config, root, saved["front_end"], trained["data"]),
        runs={session: tuple(runs[session][seed] for seed in found) for session, found in seeds.items()},
        seeds={session: tuple(found) for session, found in seeds.items()},
        trained_on=tuple(trained["sides"]["train"]["sessions"]) if trained["fold"] == NONE else (),
        parameters=trained["parameters"],
        epochs=trained["epochs"],
    )


def _features(config: EvaluateListenerConfig, root: str, front_end: Mapping[str, Any], trained_on: str) -> str:
    """The folder of features and poses of a front end: those that are named, else those of the training, else the newest."""
    home = storage.join(root, "features", KIND, "iemocap")
    named = [absolute(folder).rstrip("/") for folder in config.data]
    folders = named or [*storage.completed(home), *([trained_on] if storage.is_complete(trained_on) else [])]
    wanted = storage.content_key(front_end)
    fitting = [folder for folder in folders if storage.content_key(storage.read_manifest(folder)["features"]["front_end"]) == wanted]
    if not fitting:
        raise RapportError(
            f"no features of the front end {dict(front_end)} in {', '.join(folders) or home}: "
            "make them with `python -m rapport.ray_jobs.build_listener`, or name their folder with --data"
        )
    return fitting[-1]


def _ids(features: str) -> set[str]:
    return set(storage.read_table(storage.join(features, "index.parquet"), ["utterance_id"]).column("utterance_id").to_pylist())


def _turns(speech: PreparedCorpus, features: Sequence[str]) -> dict[str, ListenerTurn]:
    """The turns that all models have features of, by id."""
    stores = [_ids(folder) for folder in features]
    found = {turn.turn_id: turn for turn in read_turns(features[0]).turns if turn.turn_id in speech.places}
    found = {turn_id: turn for turn_id, turn in found.items() if all(turn_id in ids for ids in stores)}
    if not found:
        raise RapportError(f"{speech.path} holds no turn that all models have features of: build their features of one corpus")
    return found


def _sessions(
    config: EvaluateListenerConfig, contenders: Sequence[Contender], turns: Mapping[str, ListenerTurn]
) -> tuple[list[str], list[str]]:
    """The sessions to listen to, and warnings."""
    there = {turn.session for turn in turns.values()}
    asked = set(config.sessions) or there
    common = asked & there
    for contender in contenders:
        common &= set(contender.runs)
    if not common:
        held_out = {contender.name: sorted(contender.runs) for contender in contenders}
        raise RapportError(f"no session of {sorted(asked)} was held out from every model ({held_out}): train the same folds of each")
    warnings = []
    for contender in contenders:
        left = sorted((set(contender.runs) & there) - common)
        if left and not config.sessions:
            warnings.append(f"{contender.name}: {', '.join(left)} left out, as not every model has a fold of it")
        if known := sorted(common & set(contender.trained_on)):
            warnings.append(f"{contender.name} was trained on {', '.join(known)}, which flatters its figures")
        elif contender.trained_on:
            warnings.append(f"{contender.name} was selected by {', '.join(sorted(common))}, which flatters its figures")
    return sorted(common), warnings


def _fold(session: str, turns: Mapping[str, ListenerTurn], config: EvaluateListenerConfig) -> Fold:
    """The turns of a session, and those that its models were trained on."""
    sides = divide(list(turns.values()), session)
    train, test = ([turn.turn_id for turn in side] for side in (sides.train or sides.validation, sides.test))
    if config.max_turns is not None and len(test) > config.max_turns:
        test = Random(derive_seed(config.seed, "turns", session)).sample(sorted(test), config.max_turns)
    return Fold(session, tuple(sorted(test)), tuple(sorted(train)), {turn_id: turn.dialogue for turn_id, turn in turns.items()})


def _is_made(prepared: str) -> bool:
    """Whether the corpus maker wrote the recordings of a prepared corpus, as far as they are still there."""
    recipe = storage.join(storage.read_manifest(prepared)["config"]["corpus"]["root"], RECIPE)
    return storage.exists(recipe) and storage.read_json(recipe).get("layout") == "iemocap"
