"""Audio files and folders that a user names, and the speech in them."""

from collections.abc import Iterator, Sequence

from rapport.core import storage
from rapport.core.audio import AudioError, AudioLimits, Speech, load_speech
from rapport.core.errors import RapportError
from rapport.datasets.scan import AUDIO_SUFFIXES


def find_files(inputs: Sequence[str]) -> Iterator[str]:
    """The files themselves, and every audio file below the folders.

    Raises RapportError for a folder without audio, and when there is no input at all.
    """
    if not inputs:
        raise RapportError("no input: name audio files or folders")
    for given in inputs:
        if not storage.is_folder(given):
            yield given
            continue
        below = storage.list_files(given, suffixes=AUDIO_SUFFIXES)
        if not below:
            raise RapportError(f"no audio below {given}: looked for {', '.join(AUDIO_SUFFIXES)}")
        yield from below


def speech_of(path: str, limits: AudioLimits) -> Speech | AudioError:
    """The speech in a file, or why it cannot be used."""
    try:
        return load_speech(path, limits)
    except AudioError as error:
        return error
