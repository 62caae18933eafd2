"""A judge behind an OpenAI-compatible endpoint: OpenAI, vLLM, llama.cpp, ... `pip install 'rapport[openai]'`.

The key is read from the environment when a judge is made. It is in no setting, no version and no message.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rapport.core.errors import RapportError
from rapport.core.storage import content_key
from rapport.models.backends.judge._schema import reply_schema
from rapport.models.backends.judges import OpenAiJudgeConfig
from rapport.simulator.requests import Failure, JudgeRequest, Result

if TYPE_CHECKING:
    import openai

_WHERE_ONLY = {"key_variable", "timeout_s", "retries", "at_once"}
"""Settings that change no reply."""
_LONGEST_REASON = 300


def load(model: str = "", *, config: OpenAiJudgeConfig | None = None) -> "OpenAiJudge":
    """A judge that asks for that model. Raises RapportError without a model or a key, and when the client is not installed."""
    if not model:
        raise RapportError("judge: openai wants a model: write openai:<model>, such as openai:gpt-4o-mini")
    return OpenAiJudge(model, config or OpenAiJudgeConfig())


class OpenAiJudge:
    """A `rapport.simulator.requests.Service` for judge requests."""

    def __init__(self, model: str, config: OpenAiJudgeConfig) -> None:
        self._model, self._config = model, config
        # A server may change what it runs; what was drawn is never kept, what is likeliest is taken to stay.
        self.deterministic = config.temperature == 0
        self.unread = () if config.temperature else ("seed",)
        self._client = _client(config)
        told = {**config.model_dump(mode="json", exclude=_WHERE_ONLY), "base_url": str(self._client.base_url)}
        self.version = f"openai 1 {model} {content_key(told)}"

    def batch(self, requests: Sequence[JudgeRequest]) -> list[Result]:
        """A reply for each request; a Failure where the endpoint does not answer, also when asked again.

        Raises RapportError when it refuses: an unknown model, a wrong key, a setting that it does not have.
        """
        with ThreadPoolExecutor(self._config.at_once) as threads:
            return list(threads.map(self._reply, requests))

    def _reply(self, request: JudgeRequest) -> Result:
        import openai

        try:
            completion = self._client.chat.completions.create(**self._question(request))
        except openai.AuthenticationError:
            # What the endpoint says may hold parts of the key.
            raise RapportError(f"{self._client.base_url} refuses the key in {self._config.key_variable}") from None
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            return Failure("judge", f"{self._client.base_url} does not answer: {str(error)[:_LONGEST_REASON]}")
        except openai.APIStatusError as error:
            raise RapportError(
                f"{self._client.base_url} refuses {self._model!r} ({error.status_code}): {str(error)[:_LONGEST_REASON]}\n"
                "See the settings judge and openai; an endpoint without JSON schemas wants openai.constrained false"
            ) from error
        return (completion.choices[0].message.content or "") if completion.choices else ""

    def _question(self, request: JudgeRequest) -> dict[str, Any]:
        question: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "system", "content": request.prompt}, {"role": "user", "content": request.heard}],
            "temperature": self._config.temperature,
            "max_tokens": self._config.max_new_tokens,
        }
        if self._config.temperature:
            question["seed"] = request.seed % 2**31
        if self._config.constrained:
            schema = {"name": "reply", "strict": True, "schema": reply_schema(request, self._config.longest_text)}
            question["response_format"] = {"type": "json_schema", "json_schema": schema}
        return question


def _client(config: OpenAiJudgeConfig) -> "openai.OpenAI":
    try:
        import openai
    except ImportError as error:
        raise RapportError("the judge openai is not installed: pip install 'rapport[openai]', or take the judge rule") from error
    address = config.base_url or os.environ.get("OPENAI_BASE_URL", "")
    key = os.environ.get(config.key_variable, "")
    if not key and not address:
        raise RapportError(f"the judge openai wants a key in the variable {config.key_variable} (openai.key_variable)")
    return openai.OpenAI(
        api_key=key or "none",  # the client insists on one, servers of one's own do not
        base_url=address or None,
        timeout=config.timeout_s,
        max_retries=config.retries,
    )
