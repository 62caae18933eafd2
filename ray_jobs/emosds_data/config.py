"""Settings of `build_emosds`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field, field_validator

from rapport.core.config import Config, JobConfig, Names
from rapport.core.emotions import in_vocabulary_order
from rapport.datasets.emosds.build import LimitsConfig, SidesConfig
from rapport.models.emosds.answer import EMOTIONS


class ExportConfig(Config):
    """The examples as the published JSON lines too."""

    jsonl: bool = False
    """Write them, with prompts in words and units as text; wants units."""
    residuals: bool = False
    """Write each utterance's residuals as a .npy file [T, D] of float32, to which the lines then point."""


class BuildEmosdsConfig(JobConfig):
    """Which speech and dialogues become examples, and how they are divided."""

    name: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the data set."""
    asr: Names = ("librispeech",)
    """Prepared corpora of stage 1: names, or folders and URIs, separated by commas; none leaves the stage out."""
    emotional: Names = ("esd",)
    """Prepared corpora of stages 2 and 3."""
    dialogues: str = ""
    """EmoSC_dialogues.jsonl; empty leaves stage 3 out."""
    emotions: Names = EMOTIONS
    """Emotions that stages 2 and 3 tell apart; recordings and dialogues of others are left out and counted."""
    plain_asr: bool = True
    """Write the words of stage 1 in lower case without punctuation, as the published form has them."""
    keep_case: bool = False
    """Match the sentences of dialogues with recordings by case too, as published, which loses some."""
    sides: SidesConfig = SidesConfig()
    """Who is trained, validated and tested on."""
    limits: LimitsConfig = LimitsConfig()
    """How many."""
    prompts: Literal["round_robin", "random"] = "round_robin"
    """How the wordings of instructions are dealt out."""
    units: Literal["auto", "off"] = "auto"
    """auto leaves out utterances of which the newest extraction with the codebook has no units; off does not look."""
    codebook: str = ""
    """Units of which codebook, where corpora were encoded with several: its name, its folder, or the beginning of its hash. Unless given,
    the one that is called like this data set, or the only one that all corpora share."""
    export: ExportConfig = ExportConfig()
    """JSON lines as published."""

    @field_validator("emotions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        in_vocabulary_order(value)
        return value
