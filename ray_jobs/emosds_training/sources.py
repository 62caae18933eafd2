"""What one stage is made from: examples, units, and the model before it; whether they belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.config import with_values
from rapport.core.errors import RapportError
from rapport.core.examples import Stage
from rapport.datasets.emosds.examples import find_examples, read_examples
from rapport.datasets.emosds.overlap import overlap_warnings
from rapport.datasets.unit_store import UnitStore, find_units, open_units
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.lineage import Lineage
from rapport.models.find import find_model, saved_at
from rapport.ray_jobs.emosds_training.config import TrainEmosdsConfig
from rapport.ray_jobs.emosds_training.run_folder import model_folder
from rapport.ray_jobs.training_runs.run_folder import absolute

# What may differ from the model before: how examples are worded and cut, not what tokens and weights mean.
_MAY_CHANGE = ("instructions", "history_turns", "max_tokens", "base", "revision")


@dataclass(frozen=True)
class Sources:
    """The folders that one stage reads, now and whenever it is resumed."""

    examples: str
    units: tuple[str, ...] = ()
    """Empty for a model that reads true transcripts."""
    predecessor: str | None = None
    """The model that the stage starts from; None in stage 1, which starts from the base model."""
    predecessor_saved_s: int = 0
    """When that model was saved, in seconds since 1970."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Sources":
        """What `asdict` gave, after a way through JSON."""
        return cls(value["examples"], tuple(value["units"]), value["predecessor"], value["predecessor_saved_s"])

    def store(self) -> UnitStore | None:
        """The units, opened."""
        return open_units(self.units) if self.units else None


def find_sources(config: TrainEmosdsConfig, stage: Stage) -> Sources:
    """The folders that the configuration names.

    Raises RapportError for examples, units or a model that are not there.
    """
    root = absolute(config.storage)
    examples = find_examples(root, config.data) if "/" not in config.data else absolute(config.data).rstrip("/")
    manifest = storage.read_manifest(examples)
    units: tuple[str, ...] = ()
    if config.model.inputs != "text":
        missing = [folder for name, folder in manifest["corpora"].items() if name not in manifest["units"]]
        corpora = [storage.read_manifest(folder)["corpus"] for folder in missing]
        found = {*manifest["units"].values(), *(find_units(root, corpus, manifest["codebook"]) for corpus in corpora)}
        units = tuple(map(absolute, config.units)) or tuple(sorted(found))
    before = _predecessor(config, root, stage)
    return Sources(examples, units, before, saved_at(before) if before else 0)


def check_begun(begun: Sources, now: Sources, stage: Stage) -> None:
    """Raises RapportError when a stage was begun on other examples or units, or from another model, than it would begin with today."""
    others = "train under another --name, or begin anew with --fresh"
    if begun.examples != now.examples:
        raise RapportError(
            f"stage {stage} was begun on the examples in {begun.examples}, and those found now are in {now.examples}: name the former "
            f"with --data {begun.examples}, {others}"
        )
    then, found = ({folder.rstrip("/") for folder in sources.units} for sources in (begun, now))
    # Where only one of them has units, model.inputs was changed, which is told among the settings.
    if then and found and then != found:
        named = ",".join(begun.units)
        raise RapportError(
            f"stage {stage} was begun on the units in {named}, and those found now are in {','.join(now.units)}: name the former "
            f"with --units {named}, {others}"
        )
    if (begun.predecessor, begun.predecessor_saved_s) != (now.predecessor, now.predecessor_saved_s):
        raise RapportError(
            f"stage {stage} was begun from {begun.predecessor}, which was trained anew since, or another model is named (start_from): "
            "train this stage and those after it with --fresh, or under another --name"
        )


def overlaps(sources: Sources, lineage: Lineage, stage: Stage) -> list[str]:
    """Warnings where the model that a stage starts from was trained, in another build, on what this one holds out."""
    held_out = [row for split in ("validation", "test") for row in read_examples(sources.examples, stage, split)]
    return overlap_warnings(str(sources.predecessor), lineage.data, sources.examples, held_out)


def fitted_model(config: EmosdsConfig, sources: Sources) -> EmosdsConfig:
    """The model's settings with what the units decide filled in."""
    store = sources.store()
    return config if store is None else with_values(config, {"clusters": store.clusters, "residual_width": store.width})


def check_lineage(model: EmosdsConfig, sources: Sources, stage: Stage) -> Lineage:
    """The lineage of the stage, as far as it is known before its tokens are.

    Raises RapportError when the model before is of another stage, codebook, direction of residuals or vocabulary than this stage wants.
    """
    store = sources.store()
    codebook, sign = (store.codebook_hash, store.residual_sign) if store else (None, None)
    if model.hears_residuals(stage) and store is not None and not store.has_residuals:
        raise RapportError(
            f"inputs is {model.inputs!r}, and {', '.join(sources.units)} holds no residuals: extract them, or set model.inputs to units"
        )
    if sources.predecessor is None:
        return Lineage().next(stage, codebook, sign, "", model.base, sources.examples)
    saved = storage.read_json(storage.join(sources.predecessor, "config.json"))
    learned = Lineage.model_validate(saved["lineage"])
    lineage = learned.next(stage, codebook, sign, saved["tokens_hash"], sources.predecessor, sources.examples)
    before, now = (dict(EmosdsConfig.model_validate(value)) for value in (saved["model"], model))
    differing = [name for name in now if name not in _MAY_CHANGE and before[name] != now[name]]
    if differing:
        told = "; ".join(f"model.{name} was {before[name]}, now {now[name]}" for name in differing)
        raise RapportError(f"{sources.predecessor} is another model: {told}. Give the settings back, or train the stages before it anew")
    return lineage


def _predecessor(config: TrainEmosdsConfig, root: str, stage: Stage) -> str | None:
    """The model before a stage."""
    if config.start_from and stage == config.stages[0]:
        named = storage.join(root, "models", "emosds", config.start_from)
        chosen = named if "/" not in config.start_from and storage.exists(named) else config.start_from
        return absolute(find_model(chosen, "emosds", root)).rstrip("/")
    if stage == 1:
        return None
    before: Stage = 1 if stage == 2 else 2
    folder = model_folder(root, config.name, before)
    if not storage.exists(storage.join(folder, "config.json")):
        raise RapportError(f"stage {stage} starts from the model of stage {before}, and {folder} is none: train it, or set start_from")
    return folder
