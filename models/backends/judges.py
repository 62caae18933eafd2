"""A judge by name, as settings write it: `rule`, `llm:<hub id, folder or URI>` or `openai:<model>`."""

from typing import Any

from rapport.core import plugins
from rapport.simulator.requests import JudgeRequest, Service


def load_judge(name: str, **settings: Any) -> Service[JudgeRequest]:
    """The judge of that name. What follows a colon is handed to the back-end's `load`, and so are the settings.

    Raises RapportError for a back-end that does not exist or is not installed.
    """
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.judge", backend)
    judge: Service[JudgeRequest] = module.load(source, **settings) if source else module.load(**settings)
    return judge
