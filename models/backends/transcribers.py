"""A transcriber by name, as settings write it: `pocketsphinx`, `whisper:<hub id or folder>`, or `off`."""

from rapport.core import plugins
from rapport.core.speech import Transcriber


def load_transcriber(name: str) -> Transcriber | None:
    """The transcriber of that name, or None for `off`. What follows a colon is handed to the back-end's `load`.

    Raises RapportError for a back-end that does not exist.
    """
    if name == "off":
        return None
    backend, _, source = name.partition(":")
    module = plugins.load("models.backends.asr", backend)
    return module.load(source) if source else module.load()
