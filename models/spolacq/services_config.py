"""Which engines stand behind a simulator's services, and what of their answers is kept. Imports no engine."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.models.backends.judges import LlmJudgeConfig, OpenAiJudgeConfig
from rapport.models.backends.pictures import DiffusersConfig


class CacheConfig(Config):
    """What is kept of the services' answers."""

    enabled: bool = True
    """Keep answers of deterministic services; without it every request reaches its engine."""
    memory_mib: float = Field(default=256.0, gt=0)
    """Most memory for the answers of one kind of service, in each process that asks."""
    folder: str = ""
    """Folder or URI where answers outlive the process and are shared; empty keeps them in memory alone."""
    on_disk: tuple[Literal["judge", "ears", "voice", "pictures"], ...] = ("judge", "voice", "pictures")
    """Kinds that are kept in the folder. What an agent says while it learns hardly ever comes back, hence no ears."""


class ServicesConfig(Config):
    """The counterpart of an agent: who judges, hears, speaks and draws."""

    judge: str = "rule"
    """`rule`, or with its strictness `rule:name`, `rule:pattern`, `rule:mention`; `llm:<hub id, folder or URI>`; `openai:<model>`."""
    ears: str = "pocketsphinx"
    """`pocketsphinx`, `pocketsphinx:<JSGF file>`, `whisper:<hub id or folder>`, or for the tone voice `tone`,
    `tone:<word error rate>`."""
    grammar: bool = True
    """Tell pocketsphinx which sentences the task's utterance patterns allow; without it hears general English."""
    language: str = "en"
    """What a multilingual Whisper is told that it hears; empty lets it find out."""
    voice: str = "espeak"
    """`espeak`, `kokoro:<hub id or folder>`, or `tone`."""
    pictures: str = "procedural"
    """`procedural`, `procedural:balanced`, `flat`, or `diffusers:<hub id or folder>`."""
    otherwise: Literal["stay", "leave"] = "leave"
    """What the rule judge does with words it cannot place: ask again, or follow the only way on, if there is one."""
    llm: LlmJudgeConfig = LlmJudgeConfig()
    """How the judge `llm` writes; others do not read it."""
    openai: OpenAiJudgeConfig = OpenAiJudgeConfig()
    """How the judge `openai` is asked; others do not read it."""
    diffusers: DiffusersConfig = DiffusersConfig()
    """How the pictures `diffusers` are drawn; others do not read it."""
    cache: CacheConfig = CacheConfig()
    """What is kept of their answers."""
