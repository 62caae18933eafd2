"""Settings of `evaluate_coe`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import JobConfig, Names
from rapport.models.erc.model_config import ErcGenerationConfig, ScoringConfig, TfidfConfig
from rapport.ray_jobs.coe_rollouts.config import RolloutConfig

Baseline = Literal["majority", "tfidf", "no_clues", "no_personas", "no_scene", "no_history", "untrained"]
Method = Literal["score", "generate", "reason"]
FurtherTask = Literal["speaker", "role_play"]


class EvaluateCoeConfig(JobConfig):
    """Which models tell the emotions of which lines, and what they are compared with."""

    models: Names = ()
    """Names of trained models, or folders and URIs, separated by commas: the one in question first, then those to compare it with. Those of
    the groups unless given, else the newest."""
    groups: Names = ()
    """Models of the same settings and other seeds, joined by plus signs: a0+a1+a2,b0+b1+b2 compares the means of a and b."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the evaluation; made from model, data, side and method unless given. The same name again replaces the earlier one."""
    data: str = ""
    """Examples that build_coe made: a name, folder or URI; those that the first model was trained on unless given."""
    side: Literal["auto", "validation", "test"] = "auto"
    """Which side; auto is test where there is one, and else validation."""
    method: Literal["auto", Method] = "auto"
    """`score` takes the label that the model finds likeliest, `generate` has it write the label, `reason` reasons and then the label;
    `auto` is reason for a model that learned reasons to the end (erc.rehearsal of train_coe), and score for others."""
    mapping: Literal["strict", "compat"] = "strict"
    """How a written answer becomes a label. `strict` takes the label itself, the label as a word, a synonym, or else counts the answer as
    invalid; `compat` is the published mapping, which finds a label in any text and guesses where there is none."""
    baselines: tuple[Baseline, ...] = ("majority", "tfidf", "no_clues")
    """What stands beside the models: the commonest label, words counted, the first model without all clues or without one of them, and the
    base model of the first before any training."""
    encoder: str = ""
    """A language model, by hub id or folder, whose frozen states under a logistic regression are one more baseline; empty leaves it out."""
    tfidf: TfidfConfig = TfidfConfig()
    """How words are counted."""
    tasks: tuple[FurtherTask, ...] = ()
    """What else the models are asked: who says a line, and the next line of a character; always on the validation side, as there are no
    such questions on test."""
    gap: bool = True
    """On the test side, ask the first model about validation too, to tell how far test falls short of it."""
    generation: ErcGenerationConfig = ErcGenerationConfig()
    """How answers are written. A label alone is cut at 24 tokens."""
    scoring: ScoringConfig = ScoringConfig()
    """How labels are weighed."""
    rollouts: RolloutConfig = RolloutConfig()
    """Who answers, and in what pieces."""
    max_examples: int | None = Field(default=None, ge=1)
    """Most lines, drawn by the seed in whole dialogues."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws behind the intervals."""
    write_card: bool = True
    """Write the model card into the folder of the first model."""
    shown: int = Field(default=16, ge=0)
    """Lines to show on the page with all answers, drawn by the seed."""
