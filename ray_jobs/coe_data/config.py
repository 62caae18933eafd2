"""Settings of `build_coe`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from rapport.core.config import Config, JobConfig, Names
from rapport.core.conversations import TASKS
from rapport.datasets.conversations.clues import AUTO, CluesConfig
from rapport.datasets.prepare import KEY_VALUES
from rapport.models.backends.llm.config import EMBEDDED
from rapport.models.erc.config import ExampleConfig, PromptConfig

FLAT = "flat"
"""Names the published flat files in place of a corpus."""


class ConversationCorpusConfig(Config):
    """Which conversations, and where they lie."""

    name: str = "meld"
    """A corpus of datasets/conversations/corpora: meld, emorynlp, iemocap, or own for a user's dialogues.jsonl. flat takes published files
    of input and target, in folders role_play, speaker, steer and erc."""
    root: str = ""
    """Folder or object-store URI of the corpus as published, or the name of made conversations below <storage>/conversations."""
    options: Annotated[dict[str, Any], KEY_VALUES] = Field(default={})
    """Options of that corpus, such as history=full_scene for emorynlp, or max_bad_fraction=0.05 for any."""


class TokenizerConfig(Config):
    """Which tokenizer counts while prompts are cut to length."""

    source: str = EMBEDDED
    """`embedded` trains one on the training side, which the embedded model then takes; a hub id or folder is that of the model to be
    trained; none leaves prompts uncut."""
    revision: str | None = None
    """Commit of the hub repository; None is its newest."""
    vocabulary: int = Field(default=1200, ge=300)
    """Most pieces of text that the embedded one learns."""


class ApartConfig(Config):
    """What is taken from the training side because another corpus asks about it."""

    builds: Names = ()
    """Other builds, by name or folder: lines of six words and more of their validation and test sides are not learned from here."""
    remove: Literal["dialogues", "lines"] = "dialogues"
    """Take out every training dialogue with such a line, or those lines alone."""


class ExportConfig(Config):
    """The examples in other forms too."""

    flat: bool = False
    """Write them below flat/ as the published files of input and target."""


class BuildCoeConfig(JobConfig):
    """Which conversations become examples, and how questions about them are put."""

    name: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the data set."""
    corpus: ConversationCorpusConfig = ConversationCorpusConfig()
    """What to read."""
    clues: CluesConfig = CluesConfig()
    """Where personas and scenes come from."""
    seeds: str = AUTO
    """Examples with reasons: auto takes seeds.jsonl beside the conversations, else those that ship; none takes none; else a file."""
    tasks: Names = TASKS
    """What is asked: role_play, speaker, steer, erc."""
    prompt: PromptConfig = PromptConfig()
    """How a question becomes text."""
    rules: ExampleConfig = ExampleConfig()
    """Which lines are asked about."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """What counts the tokens of a prompt."""
    apart: ApartConfig = ApartConfig()
    """What other corpora ask about."""
    complete: bool = False
    """Refuse a copy whose counts are not those of the complete corpus, and one that lacks a side."""
    export: ExportConfig = ExportConfig()
    """Other forms."""

    @field_validator("tasks")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(TASKS):
            raise ValueError(f"tasks are {', '.join(value) or 'none'}: wanted some of {', '.join(TASKS)}")
        return tuple(task for task in TASKS if task in value)
