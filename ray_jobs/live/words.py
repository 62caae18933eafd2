"""A transcriber in a process of its own: one that computes without letting go of Python's lock would freeze the display."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np

from rapport.core.speech import Transcriber

Transcribe = Callable[[np.ndarray], str]

_loaded: list[Transcriber] = []  # in the transcriber's own process


@contextmanager
def transcriber_process(name: str) -> Iterator[Transcribe | None]:
    """A function that gives the words of 16 kHz speech [S], computed elsewhere; None for `off`.

    Raises RapportError for a transcriber that cannot be loaded.
    """
    if name == "off":
        yield None
        return
    # A fresh interpreter: a fork of one that has used torch's threads can hang.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_ctrl_c) as pool:
        pool.submit(_load, name).result()
        yield lambda samples: pool.submit(_transcribe, samples).result()


def _ignore_ctrl_c() -> None:
    # Ctrl-C reaches every process of the terminal; the listener still wants its last words.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load(name: str) -> None:
    from rapport.models.backends.transcribers import load_transcriber

    transcriber = load_transcriber(name)
    assert transcriber is not None
    _loaded[:] = [transcriber]


def _transcribe(samples: np.ndarray) -> str:
    return _loaded[0].transcribe(samples)
