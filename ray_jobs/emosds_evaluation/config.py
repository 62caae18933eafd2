"""Settings of `evaluate_emosds`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Annotated, Literal

from pydantic import Field

from rapport.core.config import AS_TEXT, Config, JobConfig, Names
from rapport.models.emosds.config import GenerationConfig


class CascadeConfig(Config):
    """A recogniser whose words go to a language model that reads: what can be done without hearing the voice."""

    transcriber: str = "off"
    """`pocketsphinx`, `pocketsphinx:<grammar file>`, `whisper:<hub id or folder>`, or `off`."""
    model: str = ""
    """The language model, one trained with inputs `text`; the first such among `models` unless given."""


class BertScoreConfig(Config):
    """BERTScore of replies."""

    model: str = ""
    """Folder of an encoder with safetensors; empty leaves BERTScore out."""
    layer: int = Field(default=17, ge=1)
    """Which of its layers; 17 is the published choice for roberta-large."""


class EvaluateEmosdsConfig(JobConfig):
    """Which models answer which examples."""

    models: Names = ()
    """Names of trained models or of their runs, folders or URIs, separated by commas: the one in question first, then those to compare it
    with. The newest unless given."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the evaluation; made from model, data and split unless given. The same name again replaces the earlier one."""
    data: str = "default"
    """Examples that build_emosds made: a name, folder or URI."""
    stage: Annotated[Literal["auto", "1", "2", "3"], AS_TEXT] = "auto"
    """What is asked of the models; auto is the last stage that the first of them was trained for."""
    split: Literal["train", "validation", "test"] = "test"
    """Which side."""
    max_examples: int | None = Field(default=None, ge=1)
    """Most examples, drawn by the seed; variants of a scenario by one speaker are drawn together."""
    units: Names = ()
    """Folders of units, separated by commas; the newest of each corpus with the model's codebook unless given."""
    generation: GenerationConfig = GenerationConfig()
    """How answers are written."""
    teacher_forced: bool = True
    """Also measure the proxy that the published system was scored by: each token given the right tokens before it."""
    cascade: CascadeConfig = CascadeConfig()
    """A recogniser and a reading model as one more contender."""
    bert_score: BertScoreConfig = BertScoreConfig()
    """BERTScore of replies."""
    batch_size: int = Field(default=16, ge=1)
    """Examples answered together, of like length."""
    actors: int | None = Field(default=None, ge=1)
    """Copies of a model that share the examples; one a GPU, or one for 200 examples, unless told."""
    gpus_per_actor: float | None = Field(default=None, ge=0)
    """GPU share of each; 1 when the cluster has a GPU, unless told."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws behind the intervals."""
    write_card: bool = True
    """Write the model card into the folder of the first model."""
    shown: int = Field(default=24, ge=0)
    """Answers to show on the page, drawn by the seed."""
