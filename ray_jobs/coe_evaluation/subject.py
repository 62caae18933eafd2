"""What is evaluated: the models, what stands beside them, and the lines."""

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

from rapport.core import storage
from rapport.core.conversations import Clues, Conversation, ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.examples import ExampleStore, find_examples, open_examples
from rapport.datasets.conversations.records import Conversations
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.templates import line_key
from rapport.models.find import find_model
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig, Method
from rapport.ray_jobs.coe_evaluation.lineage import builds_of, fingerprint, leak_warnings, rehearsed
from rapport.ray_jobs.training_runs.run_folder import absolute

Task = Literal["erc", "steer"]
CLUES = ("personas", "scene", "history")
LEFT_OUT: Mapping[str, tuple[str, ...]] = {"no_clues": CLUES, **{f"no_{clue}": (clue,) for clue in CLUES}}
"""Baselines that are the first model without some clues."""
WHAT: Mapping[str, str] = {
    "model": "trained",
    "no_clues": "the first model, shown the line alone",
    "no_personas": "the first model without personas",
    "no_scene": "the first model without the scene",
    "no_history": "the first model without the lines before",
    "untrained": "the base of the first model, before training",
    "majority": "always the commonest label of the training side",
    "tfidf": "logistic regression on the words of the line",
    "encoder": "logistic regression on frozen states of a language model",
}


@dataclass(frozen=True)
class Contender:
    """One way to answer."""

    name: str
    """Unique in an evaluation."""
    kind: Literal["model", "ablation", "untrained", "baseline"]
    what: str
    """In a few words."""
    method: Method = "score"
    """How a model is asked."""
    folder: str = ""
    """Of the model; empty for a baseline that has none."""
    left_out: tuple[str, ...] = ()
    """Clues that are kept from it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its config.json says of how the model was made."""

    @property
    def task(self) -> Task:
        """Whether a label alone is asked for, or reasons too."""
        return "steer" if self.method == "reason" else "erc"


@dataclass(frozen=True)
class Subject:
    """One evaluation before it begins."""

    contenders: list[Contender]
    """The models, the first of them in question, then what stands beside them."""
    groups: Mapping[str, tuple[str, ...]]
    """Name of each group to those of its models."""
    store: ExampleStore
    side: str
    questions: list[ErcExample]
    """The lines as the first model is asked about them."""
    conversations: Mapping[tuple[str, str], Conversation] | None
    """By side and dialogue; None where the examples were taken in as prompts."""
    clues: Clues
    notes: tuple[str, ...]
    """What a reader of the figures should know."""
    warnings: tuple[str, ...]
    """What makes the figures doubtful."""

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of their class indices."""
        return self.store.labels

    def asked_of(self, contender: Contender, questions: Sequence[ErcExample]) -> Sequence[ErcExample]:
        """Questions of one side, in the form in which this contender is asked about these lines."""
        if not questions or questions[0].task == contender.task:
            return questions
        side = line_key(questions[0].example_id).split
        forms = {line_key(found.example_id): found for found in self.store.read(contender.task, side)}
        if unasked := [question.example_id for question in questions if line_key(question.example_id) not in forms]:
            raise RapportError(
                f"{self.store.folder} does not ask {contender.task} about {unasked[0]} ({len(unasked)} such lines), as {contender.name} "
                "wants: give one --method for all"
            )
        return [forms[line_key(question.example_id)] for question in questions]


def choose_subject(config: EvaluateCoeConfig) -> Subject:
    """The models, the examples and the baselines.

    Raises RapportError when one of them is not there, or models of a group are not of the same settings.
    """
    root = absolute(config.storage)
    grouped = [tuple(name for name in group.split("+") if name) for group in config.groups]
    named = dict.fromkeys([*config.models, *(name for group in grouped for name in group)]) or {"": None}
    trained = {name: _model(root, name) for name in named}
    _check_names(list(trained.values()))
    groups = dict(_group([trained[name] for name in group]) for group in grouped)
    store = _store(config, root, next(iter(trained.values())))
    side = config.side if config.side != "auto" else "test" if store.has("erc", "test") else "validation"
    models = {name: _asked(config, model, store, side) for name, model in trained.items()}
    first = next(iter(models.values()))
    questions = drawn(store.read(first.task, side), config.max_examples, config.seed)
    found = store.conversations() if storage.exists(storage.join(store.folder, own.FILE)) else None
    beside, untold = _beside(config, first, store, found)
    return Subject(
        contenders=[*models.values(), *beside],
        groups=groups,
        store=store,
        side=side,
        questions=questions,
        conversations={(talk.split, talk.dialogue_id): talk for talk in found.conversations} if found else None,
        clues=found.clues if found else Clues(),
        notes=(*_notes(store, side), *untold),
        warnings=tuple(
            warning for model in models.values() for warning in leak_warnings(model.name, builds_of(model.facts), store, questions, found)
        ),
    )


def drawn(questions: Sequence[ErcExample], most: int | None, seed: int) -> list[ErcExample]:
    """At most so many questions, in whole dialogues as far as one fits, in their order."""
    if most is None or len(questions) <= most:
        return list(questions)
    dialogues: dict[str, list[ErcExample]] = defaultdict(list)
    for question in questions:
        dialogues[line_key(question.example_id).dialogue_id].append(question)
    order = sorted(dialogues)
    Random(seed).shuffle(order)
    chosen: set[str] = set()
    for name in order:
        if len(chosen) + len(dialogues[name]) <= most:
            chosen |= {question.example_id for question in dialogues[name]}
    chosen = chosen or {question.example_id for question in dialogues[order[0]][:most]}
    return [question for question in questions if question.example_id in chosen]


def _model(root: str, name: str) -> Contender:
    home = storage.join(root, "models", "coe", name)
    chosen = home if name and "/" not in name and storage.exists(home) else name
    folder = absolute(find_model(chosen, "coe", root)).rstrip("/")
    saved = storage.read_json(storage.join(folder, "config.json"))
    if saved.get("kind") != "coe":
        raise RapportError(f"{folder} holds a {saved.get('kind')!r} model: wanted one that train_coe made")
    facts = saved.get("facts") or {}
    return Contender(posixpath.basename(folder), "model", str(facts.get("strategy") or WHAT["model"]), folder=folder, facts=facts)


def _asked(config: EvaluateCoeConfig, model: Contender, store: ExampleStore, side: str) -> Contender:
    """The model with the way in which it is asked."""
    if config.method != "auto":
        return replace(model, method=config.method)
    if rehearsed(model.facts) and store.has("steer", side):
        return replace(model, method="reason", what=f"{model.what}, gives reasons first")
    return model


def _check_names(models: Sequence[Contender]) -> None:
    names = [model.name for model in models]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RapportError(f"two models are called {twice}: name each once, and give different ones different folders")
    if taken := set(names) & set(WHAT) - {"model"}:
        raise RapportError(f"a model is called {', '.join(taken)}, as a baseline is: give its folder another name")


def _group(members: Sequence[Contender]) -> tuple[str, tuple[str, ...]]:
    """A group's name and those of its members.

    Raises RapportError when it is none, or its members are of different settings.
    """
    names = tuple(member.name for member in members)
    if len(set(names)) < 2:
        raise RapportError(f"the group {'+'.join(names)} has {len(set(names))} model: wanted two or more, joined by plus signs")
    first = _settings(members[0])
    for member in members[1:]:
        found = _settings(member)
        if differing := [key for key in first if found[key] != first[key]]:
            raise RapportError(
                f"{member.name} and {names[0]} differ in {', '.join(differing)}: a group is of models that differ by their seed alone; "
                "name them one by one in models"
            )
    keys = [fingerprint(member.folder) for member in members]
    if len(set(keys)) < len(keys):
        raise RapportError(f"two models of the group {'+'.join(names)} are the same training: wanted other seeds")
    return "+".join(names), names


def _settings(model: Contender) -> dict[str, Any]:
    """What models of a group have in common."""
    saved = storage.read_json(storage.join(model.folder, "config.json"))["model"]
    return {**saved, "strategy": model.facts.get("strategy"), "data": [build.digest for build in builds_of(model.facts)]}


def _store(config: EvaluateCoeConfig, root: str, first: Contender) -> ExampleStore:
    if config.data:
        return open_examples(find_examples(root, config.data))
    builds = builds_of(first.facts)
    if len(builds) != 1:
        told = "several builds" if builds else "a build that its folder does not tell"
        raise RapportError(f"{first.name} was trained on {told}: name the one to evaluate on with --data")
    return open_examples(find_examples(root, builds[0].folder))


def _beside(
    config: EvaluateCoeConfig, first: Contender, store: ExampleStore, found: Conversations | None
) -> tuple[list[Contender], list[str]]:
    """What stands beside the models, and why some of it does not."""
    shown = PromptConfig.model_validate(store.prompt()).clues.model_dump() if found else {}
    beside: list[Contender] = []
    untold: list[str] = []
    for name in dict.fromkeys([*config.baselines, *(["encoder"] if config.encoder else [])]):
        left_out = tuple(clue for clue in LEFT_OUT.get(name, ()) if shown.get(clue))
        if name in LEFT_OUT and not left_out:
            why = "its prompts do not show them" if found else "it was taken in as prompts"
            untold.append(f"{name} was left out: {store.folder} has no such clues to take away, as {why}")
        elif name in ("tfidf", "encoder") and found is None:
            untold.append(f"{name} was left out: {store.folder} was taken in as prompts, without the lines by themselves")
        elif name in ("majority", "tfidf", "encoder") and not store.has("erc", "train"):
            untold.append(f"{name} was left out: {store.folder} has no training side to learn from")
        elif name in LEFT_OUT:
            beside.append(Contender(name, "ablation", WHAT[name], first.method, first.folder, left_out))
        elif name == "untrained":
            # Before training it knows no form of an answer: asked to reason it would come to no label at all.
            method: Method = config.method if config.method != "auto" else "score"
            beside.append(Contender(name, "untrained", WHAT[name], method, first.folder))
        else:
            what = f"{WHAT[name]}: {config.encoder}" if name == "encoder" else WHAT[name]
            beside.append(Contender(name, "baseline", what))
    return beside, untold


def _notes(store: ExampleStore, side: str) -> list[str]:
    notes = []
    if store.made:
        notes.append("The conversations are made: figures say that the method works, and nothing of how people speak.")
    if side == "validation":
        notes.append("Measured on validation, by which epochs and rounds are chosen: that flatters the models.")
    notes += [f"Counts differ from the published ones: {told}." for told in store.manifest.get("deviations", ()) if told.startswith(side)]
    return notes
