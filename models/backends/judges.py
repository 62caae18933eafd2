"""A judge by name, as settings write it: `rule`, `llm:<hub id, folder or URI>` or `openai:<model>`; and the settings of each."""

from typing import Any, Literal

from pydantic import Field

from rapport.core import plugins
from rapport.core.config import Config
from rapport.models.backends.llm.config import SamplingConfig
from rapport.simulator.requests import JudgeRequest, Service


class LlmJudgeConfig(SamplingConfig):
    """How a language model in this process judges. With a temperature, a reply is drawn by the seed of its request."""

    revision: str | None = None
    """Commit of the hub repository; None is its newest."""
    constrained: bool = True
    """Write nothing but JSON of the right shape, with an offered item or null, and a legal scene or null. The published simulator did
    not."""
    max_new_tokens: int = Field(default=150, ge=1)
    """Longest reply; one that is longer is cut off."""
    longest_text: int = Field(default=200, ge=1)
    """Most characters of each text in a constrained reply, so that it ends before it would be cut off."""
    context_tokens: int = Field(default=1200, ge=16)
    """Most tokens of prompt, transcript and reply together."""
    batch_tokens: int = Field(default=16_384, ge=16)
    """Most tokens of a batch, padding and replies included: memory grows with it."""
    batch_rows: int = Field(default=64, ge=1)
    """Most requests of a batch."""
    device: str = "auto"
    """A torch device; `auto` takes the GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Numbers to compute with; `auto` is bfloat16 on a GPU."""


class OpenAiJudgeConfig(Config):
    """How an OpenAI-compatible endpoint judges. Its key comes from the environment alone."""

    base_url: str = ""
    """Address of the endpoint, such as http://127.0.0.1:8001/v1; empty is OPENAI_BASE_URL, or OpenAI."""
    key_variable: str = "OPENAI_API_KEY"
    """Variable of the environment that holds the key, set where the judge runs. An endpoint of your own may need none."""
    constrained: bool = True
    """Ask for JSON of the right shape (`response_format`: `json_schema`); an endpoint that cannot wants this off."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 takes the likeliest words, and replies are kept; above, every request is sent, with its own seed."""
    max_new_tokens: int = Field(default=150, ge=1)
    """Longest reply; one that is longer is cut off."""
    longest_text: int = Field(default=200, ge=1)
    """Most characters of each text in a constrained reply."""
    timeout_s: float = Field(default=30.0, gt=0)
    """How long one attempt may take."""
    retries: int = Field(default=3, ge=0)
    """Further attempts after a full queue, a server's error or a broken connection, each later than the last."""
    at_once: int = Field(default=16, ge=1)
    """Most requests under way at the same time."""


def load_judge(name: str, **settings: Any) -> Service[JudgeRequest]:
    """The judge of that name. What follows a colon is handed to the back-end's `load`, and so are the settings.

    Raises RapportError for a back-end that does not exist or is not installed.
    """
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.judge", backend)
    judge: Service[JudgeRequest] = module.load(source, **settings) if source else module.load(**settings)
    return judge
