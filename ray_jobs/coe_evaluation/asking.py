"""Labels of many lines: those that a model finds likeliest, or writes, with or without reasons, and those that the baselines give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rapport.core import storage
from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.baselines import Baseline as Learner
from rapport.models.erc.baselines import EncoderProbe, LabelledLine, Majority, Tfidf, labelled_lines
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.engine import model_settings
from rapport.models.erc.generation import Prompt
from rapport.models.erc.mapping import compat_label, to_label
from rapport.models.erc.model_config import EncoderProbeConfig, ErcGenerationConfig
from rapport.models.erc.scoring import Choice
from rapport.models.erc.templates import line_key, render
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig, Method
from rapport.ray_jobs.coe_evaluation.subject import Contender, Subject
from rapport.ray_jobs.coe_rollouts.ask import model_ref, score_choices, write_answers
from rapport.ray_jobs.coe_rollouts.config import ModelRef

LABEL_TOKENS = 24
"""Longest answer that is to be a label alone: a model that has not ended by then writes no label."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contender says of one line."""

    example_id: str
    label: str
    """One of the labels, or `INVALID`."""
    how: str
    """Which step of the mapping found the label; `likeliest` where labels were weighed, `learned` of baselines."""
    probabilities: Mapping[str, float] | None = None
    """Of each label, where labels were weighed."""
    text: str | None = None
    """What was written."""
    rationale: str | None = None
    """What was written before the label, where reasons were asked for."""


def answers(
    subject: Subject, contender: Contender, questions: Sequence[ErcExample], config: EvaluateCoeConfig, parts: str | None = None
) -> dict[str, Answer]:
    """The answer to every question, by `line_name`. Ray must be running."""
    if contender.kind == "baseline":
        return learned_answers(subject, contender.name, questions, config)
    asked = subject.asked_of(contender, questions)
    if contender.left_out:
        asked = [without_clues(subject, question, contender.left_out) for question in asked]
    found = ask(reference(contender), asked, subject, config, contender.method, parts)
    return {line_name(answer.example_id): answer for answer in found}


def reference(contender: Contender) -> ModelRef:
    """The model to ask.

    Raises RapportError where the one before training is wanted and is not there any more.
    """
    found = model_ref(contender.folder)
    if contender.kind != "untrained":
        return found
    settings, saved = model_settings(contender.folder)
    if saved is None or not saved["adapters"]:
        raise RapportError(f"{contender.folder} was trained in all its weights and holds no base model: take untrained out of baselines")
    if saved["whole"]:
        return ModelRef(settings.model_copy(update={"base": storage.join(contender.folder, "base"), "revision": None}))
    return replace(found, adapter=None)


def ask(
    model: ModelRef,
    questions: Sequence[ErcExample],
    subject: Subject,
    config: EvaluateCoeConfig,
    method: Method,
    parts: str | None = None,
) -> list[Answer]:
    """A model's answers to questions in the form that the method wants."""
    if method == "score":
        choices = [Choice(q.example_id, q.input, q.labels or subject.labels) for q in questions]
        weighed = score_choices(choices, model, config.scoring, config.rollouts, parts)
        return [Answer(s.example_id, s.label, "likeliest", dict(zip(s.labels, s.probabilities, strict=True))) for s in weighed]
    generation = config.generation.model_copy(update={"samples": 1})
    if method == "generate":
        generation = shortened(generation, LABEL_TOKENS)
    written = write_answers([Prompt(q.example_id, q.input) for q in questions], model, generation, config.rollouts, parts)
    return [_mapped(w.example_id, w.text, subject, config, reasons=method == "reason") for w in written]


def without_clues(subject: Subject, question: ErcExample, left_out: Sequence[str]) -> ErcExample:
    """The question as the same template asks it without some of `personas`, `scene` and `history`."""
    if subject.conversations is None:
        raise RapportError(f"{subject.store.folder} holds prompts alone, which cannot be asked without clues: take no_... out of baselines")
    prompt = PromptConfig.model_validate(subject.store.prompt())
    clues = prompt.clues.model_copy(update=dict.fromkeys(left_out, False))
    key = line_key(question.example_id)
    talk = subject.conversations[key.split, key.dialogue_id]
    return render(talk, key.turn, question.task, subject.clues, prompt.model_copy(update={"clues": clues}), subject.labels)


def learned_answers(subject: Subject, name: str, questions: Sequence[ErcExample], config: EvaluateCoeConfig) -> dict[str, Answer]:
    """What a baseline says that learned from the training side of the same examples.

    Raises RapportError when it has nothing to learn from.
    """
    train = subject.store.read("erc", "train")
    if name == "majority":
        known = Majority().fit([LabelledLine(e.example_id, "", (), e.gold) for e in train])
        return {line_name(q.example_id): Answer(q.example_id, known.label, "learned") for q in questions}
    if subject.conversations is None:
        raise RapportError(f"{subject.store.folder} holds prompts alone, and {name} reads lines: take it out")
    history = config.tfidf.history if name == "tfidf" else 0
    lines = {line_name(line.example_id): line for line in labelled_lines(subject.conversations.values(), history)}
    learner: Learner = Tfidf(config.tfidf) if name == "tfidf" else EncoderProbe(EncoderProbeConfig(source=config.encoder), _device())
    learner.fit([lines[line_name(e.example_id)] for e in train])
    labels = learner.predict([lines[line_name(q.example_id)] for q in questions])
    by_line = {line_name(name): label for name, label in labels.items()}
    return {line_name(q.example_id): Answer(q.example_id, by_line[line_name(q.example_id)], "learned") for q in questions}


def line_name(example_id: str) -> str:
    """Names the line that an example asks about, whatever the task."""
    return str(line_key(example_id))


def shortened(generation: ErcGenerationConfig, most: int) -> ErcGenerationConfig:
    """The settings with answers of at most so many tokens."""
    return generation.model_copy(update={"max_new_tokens": min(most, generation.max_new_tokens)})


def _mapped(example_id: str, text: str, subject: Subject, config: EvaluateCoeConfig, *, reasons: bool) -> Answer:
    if config.mapping == "compat":
        label, guessed = compat_label(text, subject.labels)
        how = "guessed" if guessed else "found"
    else:
        found = to_label(text, subject.labels, subject.store.corpus, reasons=reasons)
        label, how = found.label, found.how
    rationale = None
    if reasons:
        rationale = text.rpartition(f"<{label}>")[0].strip() if f"<{label}>" in text else text.strip()
    return Answer(example_id, label, how, text=text, rationale=rationale)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
