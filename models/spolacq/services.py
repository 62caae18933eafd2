"""The services of a simulator from its settings: engines behind the one interface `batch(requests) -> results`, with caches before them.

services = load_services(ServicesConfig(), load_task("cafe"))
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, resample
from rapport.core.errors import RapportError
from rapport.core.speech import Synthesizer, Transcriber, Voice
from rapport.core.storage import content_key, read_bytes
from rapport.models.backends.judges import load_judge
from rapport.models.backends.pictures import load_pictures
from rapport.models.backends.synthesizers import load_synthesizer
from rapport.models.backends.transcribers import load_transcriber
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.simulator.cache import Cached
from rapport.simulator.documents import read_file
from rapport.simulator.patterns import Patterns, load_patterns
from rapport.simulator.requests import KINDS, HearingRequest, Result, Service, Services, SpeechRequest
from rapport.simulator.scenario import Scenario, load_scenario
from rapport.simulator.task import CONFIG, PATTERNS, Task, TaskFile, find_task

Words = Mapping[str, tuple[str, ...]]
"""How the items of a task are asked for, by item name: all that services know of a task. Empty for one without utterance patterns."""

_PUBLISHED_EARS = "openai/whisper-large-v3-turbo"
_SILENCE_S = 0.1
_LONGEST_LINE = 1_000
"""Characters of a line that are spoken; a judge that never ends must not be heard out."""
_KOKORO_NAME = re.compile(r"[a-z](?P<gender>[fm])_\w+")


def load_services(config: ServicesConfig, task: Task) -> Services:
    """All services of a task, in this process.

    Raises RapportError for an engine that does not exist or is not installed, and for words of the task that its ears do not know.
    """
    return Services(**{kind: load_service(kind, config, task) for kind in KINDS.values()})


def words_of(task: Task) -> Words:
    """What services know of a task."""
    return {} if task.patterns is None else _words(task.scenario, task.patterns)


def read_words(folder: str) -> Words:
    """What services know of a task in a folder, a URI or by the name of a shipped one; none of its code is run.

    Raises RapportError for a task that is not there or cannot be read.
    """
    place = find_task(folder)
    if not (place / PATTERNS).is_file():
        return {}
    file = read_file(TaskFile, place / CONFIG, "the task's scenario and limits", strict=False)
    scenario = load_scenario(place / file.task_config_name, strict=False)
    return _words(scenario, load_patterns(place / PATTERNS, strict=False))


def load_service(kind: str, config: ServicesConfig, task: Task | Words) -> Service[Any]:
    """One service: `judge`, `ears`, `voice` or `pictures`, for a task or what `words_of` tells of it. Raises as `load_services`."""
    words = task if isinstance(task, Mapping) else words_of(task)
    if kind == "judge":
        service = _judge(config, words)
    elif kind == "ears":
        service = _ears(config, words)
    elif kind == "voice":
        service = SpokenLines(load_synthesizer(config.voice))
    else:
        service = _pictures(config)
    return with_cache(kind, service, config.cache)


def with_cache(kind: str, service: Service[Any], config: CacheConfig) -> Service[Any]:
    """The service behind a cache of these settings."""
    if not config.enabled:
        return service
    return Cached(service, memory_mib=config.memory_mib, folder=config.folder if kind in config.on_disk else "")


class SpokenLines:
    """A `Service` for speech requests: a synthesizer at any rate.

    A voice that the engine does not have but Kokoro would, such as `af_heart`, becomes one of the engine's of the same gender.
    """

    deterministic = True

    def __init__(self, engine: Synthesizer) -> None:
        self._engine = engine
        self.version = f"voice 1 {content_key(dict(engine.provenance))}"
        self._own = lru_cache(maxsize=None)(self._own_voice)

    def batch(self, requests: Sequence[SpeechRequest]) -> list[Result]:
        """Speech, float32 [S], for each request; a moment of silence for no words. Raises RapportError for an unknown voice."""
        return [self._speak(request) for request in requests]

    def _speak(self, request: SpeechRequest) -> np.ndarray:
        text = request.text.strip()[:_LONGEST_LINE]
        if not text:
            return np.zeros(round(_SILENCE_S * request.rate_hz), np.float32)
        samples, rate_hz = self._engine.speak(text, Voice(self._own(request.voice)))
        return np.asarray(resample(samples, rate_hz, request.rate_hz), np.float32)

    def _own_voice(self, name: str) -> str:
        voices = self._engine.voices
        every = [voice for names in voices.values() for voice in names]
        if not name:
            return every[0]
        kokoro = _KOKORO_NAME.fullmatch(name)
        if name in every or kokoro is None:
            return name  # the engine may know more voices than it lists, and tells of one that it does not know
        same = voices["female" if kokoro["gender"] == "f" else "male"] or every
        return same[sha256(name.encode()).digest()[0] % len(same)]


class HeardWords:
    """A `Service` for hearing requests: a transcriber that is given speech of any rate."""

    deterministic = True

    def __init__(self, engine: Transcriber, identity: str) -> None:
        """`identity` tells the engine, its weights and its settings."""
        self._engine = engine
        self.version = f"ears 1 {identity}"

    def batch(self, requests: Sequence[HearingRequest]) -> list[Result]:
        """The words of each request; empty for silence."""
        heard: list[Result] = [""] * len(requests)
        places = [place for place, request in enumerate(requests) if request.waveform.any()]
        clips = [resample(np.asarray(r.waveform, np.float32), r.rate_hz, SAMPLE_RATE_HZ) for r in (requests[p] for p in places)]
        together = getattr(self._engine, "transcribe_all", None)  # some engines are quicker with many clips at a time
        words = map(self._engine.transcribe, clips) if together is None else together(clips)
        for place, said in zip(places, words, strict=True):
            heard[place] = said.strip()
        return heard


def _words(scenario: Scenario, patterns: Patterns) -> Words:
    return {item.name: patterns.utterances(item) for item in scenario.items.values()}


def _judge(config: ServicesConfig, words: Words) -> Service[Any]:
    backend = config.judge.partition(":")[0]
    if backend == "rule":
        return load_judge(config.judge, utterances=words, otherwise=config.otherwise)
    if backend in ("llm", "openai"):
        return load_judge(config.judge, config=getattr(config, backend))
    return load_judge(config.judge)


def _ears(config: ServicesConfig, words: Words) -> Service[Any]:
    backend, _, source = config.ears.partition(":")
    if backend == "pocketsphinx":
        from rapport.models.backends.asr import pocketsphinx

        allowed = () if source or not config.grammar else sorted({sentence for said in words.values() for sentence in said})
        engine = pocketsphinx.load(source or None, sentences=allowed or None)
        told = {"sentences": list(allowed), "grammar": read_bytes(source).decode() if source else ""}
        return HeardWords(engine, f"pocketsphinx {version('pocketsphinx')} {content_key(told)}")
    if backend == "whisper":
        from rapport.models.backends.asr import whisper
        from rapport.models.backends.llm.base import reference_of

        source = source or _PUBLISHED_EARS
        reference = reference_of(source)
        whispering = whisper.load(source, language=config.language or None)
        return HeardWords(whispering, f"whisper {config.language} {reference.config} {reference.weights}")
    transcriber = load_transcriber(config.ears)
    if transcriber is None:
        raise RapportError(f"ears: {config.ears} hears nothing: name a transcriber, such as pocketsphinx")
    return HeardWords(transcriber, config.ears)


def _pictures(config: ServicesConfig) -> Service[Any]:
    if config.pictures.partition(":")[0] == "diffusers":
        return load_pictures(config.pictures, config=config.diffusers)
    return load_pictures(config.pictures)
