"""A prompt as a record of its parts, and the two ways in which the parts are laid out as text.

    coe_r_v1                                             instructerc, on one line

    INSTRUCTION: ...                                     role sentence ### <TAB> Speaker_0:"..."<TAB> Speaker_1:"..." ###
    PERSONAS:                                            question < Speaker_1:"..."> from <sad, happy>:
    Nora: impatient line cook.
    SCENE: a flat on moving day.
    DIALOGUE:
    Nora: The van leaves in ten minutes.
    >> Eli: I only packed the kettle.
    QUESTION: ...
    LABELS: sad, happy
    ANSWER:

Every part that is empty is left out, header included. Free text is put on one line, and names, which begin lines, cannot be headers or
marks: nobody can write a part of a prompt by what is said or by who says it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rapport.models.erc.config import TemplateName

MARK = ">> "
"""Stands before the line that is asked about."""
MASKED = "[?]"
"""Stands for the name of who says the line, where that is the question."""
ANSWER = "ANSWER:"
"""The last line of `coe_r_v1`."""


FENCE = "###"
"""Stands around the conversation in `instructerc`."""
HEADERS = ("INSTRUCTION", "PERSONAS", "SCENE", "DIALOGUE", "QUESTION", "LABELS", "CANDIDATES", "HINT", ANSWER.removesuffix(":"))
"""Begin the parts of `coe_r_v1`."""


@dataclass(frozen=True, slots=True)
class Said:
    """A line as a prompt shows it."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The parts of a prompt, from which truncation may take some before they are laid out."""

    template: TemplateName
    instruction: str
    question: str
    choices: tuple[str, ...] = ()
    """Answers to choose from; empty where the answer is free."""
    choices_header: str = "LABELS"
    history: tuple[Said, ...] = ()
    """Lines before the one asked about, oldest first."""
    marked: Said | None = None
    """The line asked about; None where it is to be written."""
    scene: str = ""
    personas: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Speaker to (name, description): several where people speak together."""
    named: tuple[str, ...] = ()
    """Speakers whose personas are shown whether or not they speak in the window, before the others."""
    persona_words: int | None = None
    """Most words of a description; None shows all, 0 leaves personas out."""

    def shown_personas(self) -> tuple[tuple[str, str], ...]:
        """(name, description) of those named and those who speak in the window, each once."""
        present = [*self.named, *(said.speaker for said in self.history), *([self.marked.speaker] if self.marked else [])]
        found = dict(persona for speaker in present for persona in self.personas.get(speaker, ()))
        cut = ((name, first_words(text, self.persona_words)) for name, text in found.items())
        return tuple((name, text) for name, text in cut if text)

    def clues(self) -> tuple[str, ...]:
        """The clues that the text really holds: of `personas`, `scene`, `history`."""
        there = {"personas": bool(self.shown_personas()), "scene": bool(self.scene), "history": bool(self.history)}
        return tuple(name for name, shown in there.items() if shown)

    def text(self) -> str:
        """The prompt as the model reads it."""
        return _lay_out_fenced(self) if self.template == "instructerc" else _lay_out_headed(self)


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def one_name(text: str) -> str:
    """A name that is no more than one at the beginning of a line: without what marks lines, and without a colon; no header.

    The names of the published corpora stay as they are.
    """
    name = one_line(text.replace(":", " ")).lstrip("> ")
    # `[?]` stands for the name that is asked for.
    name = name.strip("[]") if name == MASKED else name
    first = re.match(r"\w+", name)
    return name.capitalize() if first and first[0] in HEADERS else name


def unfenced(text: str) -> str:
    """The text on one line, in which nothing ends the fence."""
    return one_line(re.sub("#{3,}", "##", text))


def first_words(text: str, most: int | None) -> str:
    """The text, cut behind a number of words."""
    words = text.split()
    return text if most is None or len(words) <= most else " ".join(words[:most])


def _lay_out_headed(prompt: Prompt) -> str:
    dialogue = [_headed_line(said) for said in prompt.history]
    if prompt.marked:
        dialogue.append(MARK + _headed_line(prompt.marked))
    return "\n".join(
        [
            *_part("INSTRUCTION", prompt.instruction),
            *_block("PERSONAS", (f"{name}: {text}" for name, text in prompt.shown_personas())),
            *_part("SCENE", prompt.scene),
            *_block("DIALOGUE", dialogue),
            *_part("QUESTION", prompt.question),
            *_part(prompt.choices_header, ", ".join(prompt.choices)),
            ANSWER,
        ]
    )


def _headed_line(said: Said) -> str:
    return f"{said.speaker}: {said.text}"


def _part(header: str, text: str) -> list[str]:
    return [f"{header}: {text}"] if text else []


def _block(header: str, lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    return [f"{header}:", *lines] if lines else []


def _lay_out_fenced(prompt: Prompt) -> str:
    turns = [*prompt.history, *([prompt.marked] if prompt.marked else [])]
    fenced = "\t".join(f' {said.speaker}:"{said.text}"' for said in turns)
    conversation = f" {FENCE} \t{fenced} {FENCE} " if turns else " "
    choices = f" from <{', '.join(prompt.choices)}>" if prompt.choices else ""
    return f"{prompt.instruction}{conversation}{prompt.question}{choices}:"
