"""Settings of prompts, examples and answers. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config

TemplateName = Literal["coe_r_v1", "instructerc"]


class ClueConfig(Config):
    """Which clues a prompt shows beside the line that it asks about."""

    personas: bool = True
    """Short descriptions of the people who speak in the window."""
    scene: bool = True
    """One line about the place and the occasion."""
    history: bool = True
    """The lines that were said before."""


class PromptConfig(Config):
    """How a question about a line becomes text."""

    template: TemplateName = "coe_r_v1"
    """`coe_r_v1` with headed parts, personas and scene; `instructerc` is the older form, which knows the conversation alone."""
    wording: Literal["full", "short"] = "full"
    """Instruction and question in sentences, or in a few words, which a small model learns faster; `coe_r_v1` only."""
    window: int | None = Field(default=None, ge=0)
    """Most lines shown before the one asked about; None is the whole scene so far, for iemocap 20, for `instructerc` 12."""
    clues: ClueConfig = ClueConfig()
    """Each clue can be left out, to measure what it gives."""
    max_tokens: int = Field(default=1400, ge=32)
    """Longest sequence, prompt, answer and the marks of beginning and end together."""
    answer_tokens: int = Field(default=256, ge=1)
    """Room kept for an answer with reasons; the other tasks keep room for the answer that is to be learned."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.answer_tokens >= self.max_tokens:
            raise ValueError(f"answer_tokens is {self.answer_tokens}: wanted fewer than max_tokens, {self.max_tokens}")
        return self


class ExampleConfig(Config):
    """Which lines are asked about."""

    min_previous: int = Field(default=1, ge=0)
    """Lines that must come before one that is to be written in a role."""
    min_words: int = Field(default=3, ge=1)
    """Words that a line to be written in a role must have."""
    min_speakers: int = Field(default=2, ge=2)
    """People that a scene must have for the question of who speaks."""
    context_lines: bool = False
    """Ask for role and speaker also of lines that have no label and are only context."""


class AnswerConfig(Config):
    """Which answers with reasons are good enough to learn from."""

    min_tokens: int = Field(default=8, ge=1)
    """Shortest answer, label included."""
    max_tokens: int = Field(default=256, ge=2)
    """Longest answer, label included."""
    copy_words: int = Field(default=5, ge=2)
    """Length of the runs of words that are looked for in the prompt."""
    max_copied: float = Field(default=0.8, gt=0, le=1)
    """Share of those runs that may stand in the prompt word for word; an answer with more is a copy of it. 1 allows copies."""
    duplicates: Literal["any", "example"] = "any"
    """Refuse the same words twice whatever example they answer, or only for one example."""
    hint: bool = False
    """Ask once more for what was answered wrongly, with the right label in the prompt."""
    class_cap: int | None = Field(default=None, ge=1)
    """Most answers that a round may accept of each label; None is no limit."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_tokens >= self.max_tokens:
            raise ValueError(f"min_tokens is {self.min_tokens}: wanted fewer than max_tokens, {self.max_tokens}")
        return self
