"""A synthesizer by name, as settings write it: `espeak` or `kokoro:<hub id or folder>`."""

from rapport.core import plugins
from rapport.core.speech import Synthesizer


def load_synthesizer(name: str) -> Synthesizer:
    """The synthesizer of that name. What follows a colon is handed to the back-end's `load`.

    Raises RapportError for a back-end that does not exist or is not installed.
    """
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.tts", backend)
    synthesizer: Synthesizer = module.load(source) if source else module.load()
    return synthesizer
