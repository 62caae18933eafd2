"""What is evaluated: the contenders, the examples, and the speech of each."""

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES, Example, Stage
from rapport.datasets.emosds.examples import find_examples, read_examples
from rapport.datasets.emosds.overlap import overlap_warnings
from rapport.datasets.emosds.splits import told_alike
from rapport.datasets.unit_store import find_units, open_units
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.lineage import Lineage
from rapport.models.find import find_model
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.training_runs.run_folder import absolute

KINDS = {"units+residuals": "units and residuals", "units": "units only", "residuals": "residuals only", "text": "text oracle"}


@dataclass(frozen=True)
class Contender:
    """One way to answer."""

    name: str
    """Unique in an evaluation."""
    kind: str
    """What it goes by: units and residuals, units only, residuals only, text oracle, cascade."""
    model: str
    """Folder of its model."""
    settings: EmosdsConfig
    units: tuple[str, ...]
    """Folders of the units that it hears; none for one that reads."""
    transcriber: str | None = None
    """Of a cascade: whose words it reads in place of the true ones."""


@dataclass(frozen=True)
class Subject:
    """One evaluation before it begins."""

    contenders: list[Contender]
    data: str
    """Folder of the examples."""
    corpora: tuple[str, ...]
    """Folders of the prepared corpora that the examples were built from."""
    stage: Stage
    split: str
    examples: list[Example]
    """Longest speech first, so that a batch holds examples of like length; variants of a scenario by one speaker follow one another."""
    emotions: tuple[str, ...]
    warnings: tuple[str, ...]


def choose_subject(config: EvaluateEmosdsConfig) -> Subject:
    """The models, the examples and the units.

    Raises RapportError when one of them is not there, or a model cannot do the stage.
    """
    root = absolute(config.storage)
    data = find_examples(root, config.data) if "/" not in config.data else absolute(config.data).rstrip("/")
    manifest = storage.read_manifest(data)
    folders = [_model_folder(root, name, config.stage) for name in config.models or ("",)]
    described = {folder: _describe(folder) for folder in folders}
    stage = _stage(config, described[folders[0]][1])
    examples = read_examples(data, stage, config.split)
    if not examples:
        raise RapportError(f"{data} has no examples of stage {stage} on the {config.split} side: it has {manifest['counts']}")
    chosen = _drawn(examples, config.max_examples, config.seed)
    corpora = sorted({e.corpus for e in chosen})
    contenders = [_contender(config, root, folder, *described[folder], stage, corpora) for folder in folders]
    if config.cascade.transcriber != "off":
        contenders.append(_cascade(config, root, described, stage))
    contenders = _named(contenders)
    emotions = contenders[0].settings.emotions
    for other in contenders[1:]:
        if set(other.settings.emotions) != set(emotions):
            raise RapportError(
                f"{other.name} tells apart {', '.join(other.settings.emotions)}, and {contenders[0].name} {', '.join(emotions)}"
            )
    overlaps = [
        warning
        for folder in dict.fromkeys(c.model for c in contenders)
        for warning in overlap_warnings(posixpath.basename(folder), _describe(folder)[1].data, data, chosen)
    ]
    return Subject(
        contenders=contenders,
        data=data,
        corpora=tuple(manifest["corpora"].values()),
        stage=stage,
        split=config.split,
        examples=_in_order(chosen),
        emotions=emotions,
        warnings=(*manifest["warnings"], *overlaps),
    )


def _drawn(examples: Sequence[Example], most: int | None, seed: int) -> list[Example]:
    """So many examples, pairs of variants kept together."""
    if most is None or len(examples) <= most:
        return list(examples)
    groups: dict[tuple[str, str | None], list[Example]] = defaultdict(list)
    for example in examples:
        groups[told_alike(example)].append(example)
    order = sorted(groups, key=lambda key: (key[0], key[1] or ""))
    Random(seed).shuffle(order)
    found: list[Example] = []
    for key in order:
        if len(found) + len(groups[key]) <= most:
            found += groups[key]
    return found or groups[order[0]][:most]


def _in_order(examples: Sequence[Example]) -> list[Example]:
    """Longest first, each with those that it is compared with, so that none has to be kept for long."""
    longest: dict[tuple[str, str | None], float] = defaultdict(float)
    for example in examples:
        longest[told_alike(example)] = max(longest[told_alike(example)], example.duration_s or 0.0)
    return sorted(examples, key=lambda e: (-longest[told_alike(e)], told_alike(e)[0], e.speaker_id or "", e.example_id))


def _model_folder(root: str, name: str, stage: str) -> str:
    """The folder of a model, named by itself or by its run, of which the model of the stage or, for `auto`, of the last stage is meant."""
    home = storage.join(root, "models", "emosds")
    stages = [str(s) for s in reversed(STAGES)] if stage == "auto" else [stage]
    places = [storage.join(home, place) for place in (name, *(f"{name}-stage-{s}" for s in stages))] if name and "/" not in name else []
    chosen = next((place for place in places if storage.exists(storage.join(place, "config.json"))), name)
    return absolute(find_model(chosen, "emosds", root)).rstrip("/")


def _describe(folder: str) -> tuple[EmosdsConfig, Lineage]:
    saved = storage.read_json(storage.join(folder, "config.json"))
    if saved.get("kind") != "emosds":
        raise RapportError(f"{folder} holds a {saved.get('kind')!r} model: wanted one that train_emosds made")
    return EmosdsConfig.model_validate(saved["model"]), Lineage.model_validate(saved["lineage"])


def _stage(config: EvaluateEmosdsConfig, lineage: Lineage) -> Stage:
    asked = lineage.stage if config.stage == "auto" else int(config.stage)
    found = next((stage for stage in STAGES if stage == asked), None)
    if found is None:
        raise RapportError("the model was not trained yet: name the stage to ask of it with --stage")
    return found


def _contender(
    config: EvaluateEmosdsConfig, root: str, folder: str, settings: EmosdsConfig, lineage: Lineage, stage: Stage, corpora: Sequence[str]
) -> Contender:
    if lineage.stage < stage:
        raise RapportError(
            f"{folder} was trained up to stage {lineage.stage}, and stage {stage} is asked of it: set --stage {lineage.stage}"
        )
    units: tuple[str, ...] = ()
    if settings.inputs != "text":
        units = config.units or tuple(find_units(root, corpus, lineage.codebook_hash) for corpus in corpora)
        store = open_units(units, lineage.codebook_hash)
        if settings.hears_residuals(stage) and lineage.residual_sign and store.residual_sign != lineage.residual_sign:
            raise RapportError(
                f"{folder} was trained on residuals {lineage.residual_sign}, and those in {units[0]} are {store.residual_sign}"
            )
    return Contender(posixpath.basename(folder), KINDS[settings.inputs], folder, settings, units)


def _cascade(config: EvaluateEmosdsConfig, root: str, described: Mapping[str, tuple[EmosdsConfig, Lineage]], stage: Stage) -> Contender:
    """A recogniser before the reading model that is named, or the first of the models that reads."""
    if config.cascade.model:
        folder = _model_folder(root, config.cascade.model, config.stage)
        described = {folder: _describe(folder)}
    reading = next((folder for folder, (settings, _) in described.items() if settings.inputs == "text"), None)
    if reading is None:
        raise RapportError("a cascade wants a model that reads: train one with inputs text, and name it in cascade.model or among models")
    reader = _contender(config, root, reading, *described[reading], stage, ())
    transcriber = config.cascade.transcriber
    return replace(reader, name=f"{transcriber.partition(':')[0]}+{reader.name}", kind="cascade", transcriber=transcriber)


def _named(contenders: Sequence[Contender]) -> list[Contender]:
    """The contenders, whose names must differ.

    Raises RapportError when two are called alike.
    """
    names = [c.name for c in contenders]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise RapportError(f"two models are called {twice}: name each once, and give different ones different folders")
    return list(contenders)


def facts(contender: Contender) -> dict[str, Any]:
    """What a contender is, for the record."""
    return {
        "kind": contender.kind,
        "model": contender.model,
        "inputs": contender.settings.inputs,
        "base": contender.settings.base,
        "transcriber": contender.transcriber,
        "units": list(contender.units),
    }
