"""Settings of self-taught reasoning. Imports neither torch nor ray."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config
from rapport.models.erc.config import AnswerConfig
from rapport.models.erc.model_config import ErcGenerationConfig
from rapport.training.sft_config import SftConfig


class SteerConfig(Config):
    """Rounds in which a model learns from its own right answers.

    Each trains on the memory, asks for reasons and label of every line that is still unsolved, and adds what is right to the memory.
    """

    rounds: int = Field(default=8, ge=1)
    """Most rounds."""
    first_rollout: int = Field(default=1, ge=0)
    """Round whose model is the first to be asked. The published code asks nothing after its first training, which is 1; 0 asks at once."""
    training: SftConfig = SftConfig(epochs=1, selection="last")
    """Training of each round; the learning rate runs through its whole schedule in each."""
    restart_from: Literal["continue", "stage_init", "base"] = "continue"
    """What each round's training starts from: the model of the round before (as published), the model that the stage began with, or the
    base model."""
    repeat_seeds: int = Field(default=1, ge=1)
    """Times that a round's training sees the seeds in each epoch, which else are few beside what the model wrote itself."""
    pool_examples: int | None = Field(default=None, ge=1)
    """Most lines to be solved, drawn by the seed; by default all."""
    answers: AnswerConfig = AnswerConfig()
    """Which answers are good enough to learn from."""
    generation: ErcGenerationConfig = ErcGenerationConfig()
    """How answers are written, and how many to each prompt."""
    min_growth: float = Field(default=0.005, ge=0, lt=1)
    """Stop when a round solves less than this share of all lines of the pool."""
    validation_examples: int = Field(default=200, ge=0)
    """Lines of validation that every round's model is asked for with reasons; 0 asks none. Fewer are there, all are asked."""
    selection: Literal["best", "last"] = "best"
    """Which round's model the next stage begins with: the one with the highest weighted F1 on those lines, of equals the later; or the
    last."""
    final_training: bool = True
    """Train once more after the last round when it added to the memory, which nothing would have learned from otherwise."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.training.selection != "last":
            raise ValueError(
                f"training.selection is {self.training.selection}, which needs right answers with reasons for validation, and there are "
                "none: wanted last"
            )
        if self.selection == "best" and not self.validation_examples:
            raise ValueError("selection is best and validation_examples 0: ask for some lines of validation, or set selection to last")
        if self.first_rollout >= self.rounds:
            raise ValueError(f"first_rollout is {self.first_rollout} of {self.rounds} rounds, which are counted from 0: no round would ask")
        return self
