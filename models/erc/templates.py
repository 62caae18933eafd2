"""A question about a line of a conversation, as an example with a prompt and the answer to be learned.

Two templates, each named by a version that never changes its words: `coe_r_v1` gives the clues under headers (`prompt.py` shows it);
`instructerc` is the form of the older system of that name (in words of its own), which numbers the speakers, fences the conversation and
knows no clue beside it. Whatever the template, no line after the one asked about is shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapport.core.conversations import TASKS, Clues, Conversation, ErcExample, Line
from rapport.core.errors import RapportError
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.prompt import MASKED, Prompt, Said, one_line, one_name, unfenced
from rapport.models.erc.truncation import MARKS, TokenCounter, fit

WINDOWS: Mapping[str, int] = {"iemocap": 20}
"""Lines of history by corpus; others show the whole scene so far (CoE, spec section 1.2)."""
INSTRUCTERC_WINDOW = 12
INSTRUCTERC_SPEAKERS: Mapping[str, int] = {"iemocap": 2}
"""How many speakers that form lets choose from; elsewhere nine."""
HINT_TOKENS = 24
"""Room kept for a hint, which some prompts get on a second try."""

# The persona files of the show call people by first names. Only these six: a Phoebe Abbott is somebody else.
_FIRST_NAMES: Mapping[str, Mapping[str, str]] = {
    "emorynlp": {
        name: name.split()[0]
        for name in ("Monica Geller", "Ross Geller", "Rachel Green", "Chandler Bing", "Phoebe Buffay", "Joey Tribbiani")
    }
}

_EMOTION = "You judge the emotion in what people say. Weigh who is speaking, where they are and what was said before."
_INSTRUCTIONS: Mapping[str, str] = {
    "role_play": "You speak for the people of a play. Go by what is known of them, by the place and by what was said before.",
    "speaker": "One line of a conversation has lost its speaker. Go by what is known of the people, by the place and by what was said.",
    "steer": _EMOTION,
    "erc": _EMOTION,
}
_QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "full": {
        "role_play": "What does {speaker} say next? Write the line alone, without the name.",
        "speaker": "Who says the line marked with >>? Answer with one of the candidates alone.",
        "steer": "Which emotion does {speaker} express in the line marked with >>? Give your reasons first, "
        "then one of the labels between angle brackets on the last line.",
        "erc": "Which emotion does {speaker} express in the line marked with >>? Answer with one of the labels alone.",
    },
    "short": {
        "role_play": "next line of {speaker}",
        "speaker": "who",
        "steer": "reasons and emotion of {speaker}",
        "erc": "emotion of {speaker}",
    },
}
_FENCED_ROLE = "You are an expert in the emotions and opinions that people express."
_FENCED_INTRODUCTION = f"{_FENCED_ROLE} Between the marks '### ###' stands a conversation of several speakers."
_FENCED_QUESTIONS: Mapping[str, str] = {
    "role_play": "Please write what {speaker} says next",
    "speaker": "Please choose the speaker label of the utterance <Speaker: {text}>",
    "steer": 'Please give reasons first, then between angle brackets the emotional label of < {speaker}:"{text}">',
    "erc": 'Please choose the emotional label of < {speaker}:"{text}">',
}


class LineKey(NamedTuple):
    """Where a line stands: `corpus/split/dialogue/turn`."""

    corpus: str
    split: str
    dialogue_id: str
    turn: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that has not been cut to length."""

    prompt: Prompt
    target: str
    gold: str
    window: int | None


@dataclass(frozen=True, slots=True)
class _Asked:
    conversation: Conversation
    line: Line
    task: str
    clues: Clues
    config: PromptConfig
    labels: tuple[str, ...]
    before: Sequence[Line]
    window: int | None


def example_id(conversation: Conversation, turn: int, task: str) -> str:
    """`corpus/split/dialogue/turn/task`."""
    return f"{LineKey(conversation.corpus, conversation.split, conversation.dialogue_id, turn)}/{task}"


def line_key(example_id: str) -> LineKey:
    """The line that an example asks about, from the id of the example or of the line; a dialogue's own id may hold slashes.

    Raises RapportError for a text that is neither.
    """
    parts = example_id.split("/")
    if parts[-1] in TASKS:
        parts = parts[:-1]
    if len(parts) < 4 or not parts[-1].isdecimal():
        raise RapportError(f"{example_id!r} is no id of an example: wanted corpus/split/dialogue/turn/task")
    return LineKey(parts[0], parts[1], "/".join(parts[2:-1]), int(parts[-1]))


def render(
    conversation: Conversation,
    turn: int,
    task: str,
    clues: Clues,
    config: PromptConfig,
    labels: Sequence[str],
    count: TokenCounter | None = None,
) -> ErcExample:
    """The question of a task about one line.

    `labels` are those of the corpus, in canonical order. With `count`, the prompt is cut to fit beside the answer into `config.max_tokens`,
    as `truncation.py` tells. A line without a label gives empty `gold` and `target`, which is how a served model is asked. The target of
    `steer` is the label alone; `reasoned` makes those with reasons. Raises RapportError for a line that is not there, a label that is not
    among `labels`, and a prompt that cannot be made to fit.
    """
    name = example_id(conversation, turn, task)
    draft = compose(conversation, turn, task, clues, config, labels)
    prompt = draft.prompt
    cut: dict[str, int] = {}
    if count is not None:
        prompt, cut = fit(prompt, count, config.max_tokens - _answer_tokens(draft, task, config, count) - MARKS, name)
    meta = {
        "template": config.template,
        "wording": config.wording,
        "window": draft.window,
        "clues": list(prompt.clues()),
        "clues_digest": clues.digest,
        "cut": cut,
    }
    return ErcExample(name, task, prompt.text(), draft.target, draft.gold, prompt.choices, meta)


def compose(conversation: Conversation, turn: int, task: str, clues: Clues, config: PromptConfig, labels: Sequence[str]) -> Draft:
    """The parts of the question, before anything is cut; raises as `render` does."""
    if task not in TASKS:
        raise RapportError(f"task is {task!r}: wanted one of {', '.join(TASKS)}")
    line = _line(conversation, turn, task)
    labels = check_labels(labels)
    if line.label is not None and line.label not in labels:
        raise RapportError(f"{example_id(conversation, turn, task)} has the label {line.label!r}: wanted one of {', '.join(labels)}")
    window = _window(conversation.corpus, config)
    before = conversation.lines[0 if window is None else max(0, turn - window) : turn] if config.clues.history else ()
    asked = _Asked(conversation, line, task, clues, config, labels, before, window)
    return _fenced(asked) if config.template == "instructerc" else _headed(asked)


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, each once and such that they can stand between angle brackets and commas.

    Raises RapportError otherwise.
    """
    names = tuple(labels)
    odd = [name for name in names if not name or name != one_line(name) or re.search("[<>,]", name)]
    if len(names) < 2 or len(set(names)) < len(names) or odd:
        raise RapportError(
            f"labels are {', '.join(map(repr, names))}: wanted two or more, each once, without angle brackets, commas or line ends"
        )
    return names


def people(corpus: str, speaker: str, personas: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(name, description) of a speaker, or of each who speak together as `A and B`; nothing for those who are not described."""
    if speaker in personas:
        known = [(speaker, personas[speaker])]
    else:
        parts = speaker.split(" and ")
        if len(parts) > 1:
            return tuple(found for part in parts for found in people(corpus, part.strip(), personas))
        known = [(speaker, personas.get(_FIRST_NAMES.get(corpus, {}).get(speaker, ""), ""))]
    return tuple((one_name(name), one_line(text)) for name, text in known if text.strip())


def _answer_tokens(draft: Draft, task: str, config: PromptConfig, count: TokenCounter) -> int:
    """Room to keep for the answer: for any of those to choose from, so that what is cut tells nothing of which is right."""
    if task == "steer":
        return config.answer_tokens + HINT_TOKENS
    return max(count(answer) for answer in (draft.target, *draft.prompt.choices))


def _line(conversation: Conversation, turn: int, task: str) -> Line:
    name = example_id(conversation, turn, task)
    if not 0 <= turn < len(conversation.lines):
        raise RapportError(f"{name}: the conversation has {len(conversation.lines)} lines, counted from 0")
    line = conversation.lines[turn]
    if line.turn != turn:
        raise RapportError(f"{name}: the line in that place says that it is turn {line.turn}; turns are counted from 0 without gaps")
    return line


def _window(corpus: str, config: PromptConfig) -> int | None:
    if config.window is not None:
        return config.window
    return INSTRUCTERC_WINDOW if config.template == "instructerc" else WINDOWS.get(corpus)


def _said(line: Line, speaker: str | None = None) -> Said:
    return Said(speaker or one_name(line.speaker), one_line(line.text))


def _headed(asked: _Asked) -> Draft:
    conversation, line, task, config = asked.conversation, asked.line, asked.task, asked.config
    speaker = one_name(line.speaker)
    history = tuple(_said(said) for said in asked.before)
    # The whole scene's people, not those of the window: a persona shown only for who speaks would give the answer away.
    candidates = _candidates(asked) if task == "speaker" else ()
    choices = {"role_play": (), "speaker": candidates}.get(task, asked.labels)
    # Who is asked about comes first, so that their persona is found without looking for a name.
    named = candidates if task == "speaker" else (speaker,)
    everybody = dict.fromkeys([*named, *(said.speaker for said in history), speaker])
    place = f"{conversation.split}/{conversation.dialogue_id}"
    prompt = Prompt(
        template="coe_r_v1",
        instruction=_INSTRUCTIONS[task] if config.wording == "full" else "",
        question=_QUESTIONS[config.wording][task].format(speaker=speaker),
        choices=choices,
        choices_header="CANDIDATES" if task == "speaker" else "LABELS",
        history=history,
        marked=None if task == "role_play" else _said(line, MASKED if task == "speaker" else None),
        scene=one_line(asked.clues.scenes.get(place, "")) if config.clues.scene else "",
        personas={name: people(conversation.corpus, name, asked.clues.personas) for name in everybody} if config.clues.personas else {},
        named=named,
    )
    gold = {"role_play": one_line(line.text), "speaker": speaker}.get(task, line.label or "")
    return Draft(prompt, gold, gold, asked.window)


def _candidates(asked: _Asked) -> tuple[str, ...]:
    conversation, line = asked.conversation, asked.line
    names = {one_name(said.speaker) for said in conversation.lines}
    if len(names) < 2:
        # Known people under their first names and the same under their full ones are one.
        own = {_FIRST_NAMES.get(conversation.corpus, {}).get(name, name) for name in names}
        names |= {one_name(name) for name in asked.clues.personas if name not in own}
    if len(names) < 2:
        raise RapportError(
            f"{example_id(conversation, line.turn, asked.task)}: {line.speaker} is alone and no personas are given: nobody to choose from"
        )
    # By name: the order of appearance would tell something of who comes next.
    return tuple(sorted(names))


def _fenced(asked: _Asked) -> Draft:
    conversation, line, task = asked.conversation, asked.line, asked.task
    numbers = _speaker_numbers(conversation, line.turn)
    speaker = f"Speaker_{numbers[line.speaker]}"
    text = unfenced(line.text)
    alone = task == "speaker"  # the line without any context, as published
    most = max(INSTRUCTERC_SPEAKERS.get(conversation.corpus, 9), max(numbers.values()) + 1)
    prompt = Prompt(
        template="instructerc",
        instruction=_FENCED_ROLE if alone or (task == "role_play" and not asked.before) else _FENCED_INTRODUCTION,
        # Not `format`: what people say may hold braces.
        question=_FENCED_QUESTIONS[task].replace("{speaker}", speaker).replace("{text}", text),
        choices={"role_play": (), "speaker": tuple(f"Speaker_{k}" for k in range(most))}.get(task, asked.labels),
        history=() if alone else tuple(Said(f"Speaker_{numbers[said.speaker]}", unfenced(said.text)) for said in asked.before),
        marked=None if alone or task == "role_play" else Said(speaker, text),
    )
    gold = {"role_play": text, "speaker": speaker}.get(task, line.label or "")
    return Draft(prompt, gold, gold, 0 if alone else asked.window)


def _speaker_numbers(conversation: Conversation, turn: int) -> dict[str, int]:
    """Number of each speaker up to a turn, in the order in which they first speak; in iemocap men are 0 and women 1."""
    names = dict.fromkeys(line.speaker for line in conversation.lines[: turn + 1])
    letters = [name.split()[-1:] for name in names]  # `Speaker M`
    if conversation.corpus == "iemocap" and all(letter in (["M"], ["F"]) for letter in letters):
        return {name: int(letter == ["F"]) for name, letter in zip(names, letters, strict=True)}
    return {name: number for number, name in enumerate(names)}
