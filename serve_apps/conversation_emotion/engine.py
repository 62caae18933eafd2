"""The model in this process: lines of conversations in, probabilities of labels and reasons out. Knows nothing of Serve."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.conversations import LABELS, Clues, Conversation, Line
from rapport.core.errors import RapportError
from rapport.models.erc.answers import find_label
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.engine import RolloutEngine, model_settings, open_engine
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ScoringConfig
from rapport.models.erc.scoring import Choice
from rapport.models.erc.templates import check_labels, render
from rapport.models.find import saved_at
from rapport.serve_apps.conversation_emotion.answers import AdapterFacts, AskedDialogue, Judged, Piece, Question, Reasons

logger = logging.getLogger("ray.serve")

_CONFIG, _PEFT_CONFIG = "config.json", "adapter_config.json"
_SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Form:
    """How a model was taught to be asked."""

    corpus: str
    labels: tuple[str, ...]
    prompt: PromptConfig


@dataclass(frozen=True, slots=True)
class Variant:
    """The model itself, or one of its adapters, ready to be used."""

    adapter: Any
    """What the engine puts on; None is the base alone."""
    form: Form


@dataclass(frozen=True, slots=True)
class AskedLine:
    """One turn to be judged."""

    variant: Variant
    conversation: Conversation
    clues: Clues
    dialogue: int
    turn: int


def form_of(facts: Mapping[str, Any], folder: str, corpus: str = "", *, otherwise: Form | None = None) -> Form:
    """The form that a model was taught, from the builds of examples (`data`) that the facts of its folder name.

    `corpus` picks one of several, and stands for facts that name none; a published one brings its labels along. What stays unknown is as in
    `otherwise`. Raises RapportError when the labels stay unknown, or there are several builds to choose from.
    """
    builds = [build for build in facts.get("data") or () if build.get("labels")]
    wanted = corpus or (otherwise.corpus if otherwise else "")
    named = [build for build in builds if build["corpus"] == wanted] or ([] if corpus else builds)
    if named:
        if len({tuple(build["labels"]) for build in named}) > 1:
            raise RapportError(f"{folder} learned from {', '.join(build['corpus'] for build in named)}: name one of them with --corpus")
        prompt = PromptConfig.model_validate(named[0].get("prompt") or {})
        return Form(named[0]["corpus"], check_labels(named[0]["labels"]), prompt)
    labels = LABELS.get(corpus) or (otherwise.labels if otherwise else ())
    if not labels:
        raise RapportError(
            f"{folder}/{_CONFIG} does not tell the labels of {corpus or 'what it learned from'}: name what it learned from with --corpus, "
            f"one of {', '.join([build['corpus'] for build in builds] or LABELS)}"
        )
    prompt = PromptConfig.model_validate(builds[0]["prompt"]) if builds else otherwise.prompt if otherwise else PromptConfig()
    return Form(wanted, check_labels(labels), prompt)


def adapter_folders(root: str) -> dict[str, str]:
    """Name to folder of the adapters below a folder: model folders, and folders in PEFT form.

    Raises RapportError when there is no such folder.
    """
    if not storage.is_folder(root):
        raise RapportError(f"--adapters {root} is no folder: wanted one that holds folders of adapters")
    found = [*storage.completed(root, _CONFIG), *storage.completed(root, _PEFT_CONFIG)]
    return dict(sorted((folder.rstrip("/").rpartition("/")[2], folder) for folder in found))


class ConversationEngine:
    """One base model, and adapters that are exchanged on it. Not thread-safe: calls take turns."""

    def __init__(
        self, folder: str, *, adapters: str = "", base: str = "", corpus: str = "", engine: EngineConfig, scoring: ScoringConfig
    ) -> None:
        """Loads the model of a folder, and tries every adapter once: those that do not fit are told and left out.

        Raises RapportError when the model cannot be loaded or does not tell its labels.
        """
        _, saved = model_settings(folder)
        saved = saved or {}
        form = form_of(saved.get("facts", {}), folder, corpus)
        self._engine: RolloutEngine = open_engine(folder, engine, base=base)
        self._scoring = scoring
        self.variant = Variant(self._engine.read_adapter(folder) if saved.get("adapters") else None, form)
        self.facts = _facts(form, folder)
        self._folders: dict[str, str] = {}
        self.adapters: dict[str, AdapterFacts] = {}
        for name, where in (adapter_folders(adapters) if adapters else {}).items():
            try:
                found = self._read(where)
                self._engine.use_adapter(found.adapter)
            except RapportError as error:
                logger.error("adapter %r is not served: %s", name, error)
            else:
                self._folders[name] = where
                self.adapters[name] = _facts(found.form, where)
        self._engine.use_adapter(self.variant.adapter)

    def read(self, adapter: str) -> Variant:
        """An adapter, in memory. Raises RapportError when none of that name is served."""
        if adapter not in self._folders:
            raise RapportError(f"there is no adapter {adapter[:100]!r} here: there are {', '.join(self._folders) or 'none'}")
        return self._read(self._folders[adapter])

    def lines(self, question: Question, variant: Variant) -> list[AskedLine]:
        """The turns that are asked about, in order."""
        found = []
        for number, dialogue in enumerate(question.dialogues):
            conversation, clues = _records(dialogue, number, variant.form.corpus)
            found += [AskedLine(variant, conversation, clues, number, turn) for turn in dialogue.turns]
        return found

    def judge(self, lines: Sequence[AskedLine]) -> list[Judged | RapportError]:
        """What is felt in each line, in order, or why it cannot be asked about. All lines are for one variant."""
        if not lines:
            return []
        self._engine.use_adapter(lines[0].variant.adapter)
        labels = lines[0].variant.form.labels
        results: list[Judged | RapportError] = []
        choices = []
        for place, line in enumerate(lines):
            prompt = self._prompt(line, "erc")
            results.append(prompt if isinstance(prompt, RapportError) else Judged(line.dialogue, line.turn, {}, 0))
            if isinstance(prompt, str):
                choices.append(Choice(str(place), prompt, labels))
        for scored in self._engine.score(choices, self._scoring):
            line = lines[int(scored.example_id)]
            scores = dict(zip(scored.labels, scored.probabilities, strict=True))
            results[int(scored.example_id)] = Judged(line.dialogue, line.turn, scores, scored.prompt_tokens)
        return results

    def reasons(
        self, lines: Sequence[AskedLine], gone: Callable[[int], bool], max_tokens: int
    ) -> Iterator[list[tuple[int, Piece | Reasons | RapportError]]]:
        """Reasons for each line as they are written together: at each step, which lines have something new and what.

        The last of a line is its `Reasons`, or why it cannot be asked about. All lines are for one variant. Between two steps other methods
        may be called.
        """
        if not lines:
            return
        variant = lines[0].variant
        self._engine.use_adapter(variant.adapter)
        asked: list[tuple[int, Prompt]] = []
        refused: list[tuple[int, Piece | Reasons | RapportError]] = []
        for place, line in enumerate(lines):
            prompt = self._prompt(line, "steer")
            if isinstance(prompt, str):
                asked.append((place, Prompt(str(place), prompt)))
            else:
                refused.append((place, prompt))
        yield refused
        generation = ErcGenerationConfig(max_new_tokens=min(max_tokens, variant.form.prompt.answer_tokens))
        steps = self._engine.stream_batch([prompt for _, prompt in asked], generation, lambda row: gone(asked[row][0]))
        while True:
            # Between two tokens, somebody else may have been answered by another adapter.
            self._engine.use_adapter(variant.adapter)
            step = next(steps, None)
            if step is None:
                return
            yield [(asked[row][0], _told(lines[asked[row][0]], item)) for row, item in step]

    def _read(self, folder: str) -> Variant:
        saved = storage.read_json(storage.join(folder, _CONFIG)) if storage.exists(storage.join(folder, _CONFIG)) else {}
        return Variant(self._engine.read_adapter(folder), form_of(saved.get("facts", {}), folder, otherwise=self.variant.form))

    def _prompt(self, line: AskedLine, task: str) -> str | RapportError:
        form = line.variant.form
        try:
            return render(line.conversation, line.turn, task, line.clues, form.prompt, form.labels, self._engine.collator.count).input
        except RapportError as error:
            return RapportError(f"dialogues.{line.dialogue}.turns.{line.turn} cannot be asked about: {error}")


def _facts(form: Form, folder: str) -> AdapterFacts:
    there = storage.exists(storage.join(folder, _CONFIG))
    return AdapterFacts(form.labels, form.corpus, saved_at(folder) if there else 0)


def _records(dialogue: AskedDialogue, number: int, corpus: str) -> tuple[Conversation, Clues]:
    lines = (Line(turn, str(turn), speaker, text) for turn, (speaker, text) in enumerate(dialogue.lines))
    conversation = Conversation(str(number), corpus, _SPLIT, tuple(lines))
    return conversation, Clues(dialogue.personas, {f"{_SPLIT}/{number}": dialogue.scene})


def _told(line: AskedLine, item: str | Written) -> Piece | Reasons:
    if isinstance(item, str):
        return Piece(line.dialogue, line.turn, item)
    label = find_label(item.text, line.variant.form.labels)
    text = item.text.rpartition(f"<{label}>")[0] if label else item.text
    return Reasons(line.dialogue, line.turn, text.strip(), label, item.prompt_tokens, item.tokens)
