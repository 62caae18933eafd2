"""Services by their settings: engines of every kind behind one interface, with caches before them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded
from rapport.models.spolacq.services import HeardWords, SpokenLines, load_service, load_services, words_of
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.simulator.cache import Cached, cache_report
from rapport.simulator.requests import HearingRequest, JudgeRequest, PictureRequest, SpeechRequest
from rapport.simulator.task import Task, load_task
from rapport.simulator.verdict import read_verdict

FAKES = ServicesConfig(ears="tone", voice="tone", pictures="flat")


@pytest.fixture(scope="module")
def cafe() -> Task:
    return load_task("cafe")


@pytest.mark.parametrize("config", [ServicesConfig(), FAKES], ids=["embedded", "fakes"])
def test_what_an_item_is_asked_for_with_is_heard_and_judged(config: ServicesConfig, cafe: Task) -> None:
    services = load_services(config, cafe)
    assert cafe.patterns is not None
    items = list(cafe.scenario.items.values())
    said = [cafe.patterns.utterance(item, i) for i, item in enumerate(items)]
    voice = "af_heart" if config == FAKES else "en-us+f2"  # one that the ears know well
    speech = services.voice.batch([SpeechRequest(text, voice, 22_050) for text in said])
    heard = services.ears.batch([HearingRequest(np.asarray(samples), 22_050) for samples in speech])
    assert heard == said
    offers = [(item.name, items[i - 1].name) for i, item in enumerate(items)]
    turns = [JudgeRequest("", str(text), offered, ((1, "Exit"),), 0) for text, offered in zip(heard, offers, strict=True)]
    verdicts = [read_verdict(str(reply)) for reply in services.judge.batch(turns)]
    assert [(v.item_name, v.next_scene_id) for v in verdicts] == [(item.name, 1) for item in items]
    (picture,) = services.pictures.batch([PictureRequest(1, "espresso", "", "train", 0, 0, 64, 64)])
    assert np.asarray(picture).shape == (64, 64, 3)


def test_every_kind_can_be_had_alone_and_without_a_cache(cafe: Task) -> None:
    bare = FAKES.model_copy(update={"cache": CacheConfig(enabled=False)})
    for kind in ("judge", "ears", "voice", "pictures"):
        assert isinstance(load_service(kind, FAKES, words_of(cafe)), Cached)
        assert not isinstance(load_service(kind, bare, words_of(cafe)), Cached)
        assert load_service(kind, FAKES, words_of(cafe)).version == load_service(kind, bare, words_of(cafe)).version


def test_kinds_that_are_named_outlive_the_process(cafe: Task, tmp_path: Path) -> None:
    config = FAKES.model_copy(update={"cache": CacheConfig(folder=str(tmp_path), on_disk=("voice",))})
    line = SpeechRequest("hello", "af_heart", 22_050)
    for services in (load_services(config, cafe), load_services(config, cafe)):
        (samples,) = services.voice.batch([line])
        services.ears.batch([HearingRequest(np.asarray(samples), 22_050)])
        report = cache_report(services)
    assert (report["voice"]["disk"], report["ears"]["disk"]) == (1, 0)
    assert [folder.name for folder in tmp_path.iterdir()] == ["voice"]


def test_a_language_model_judges_by_its_settings(cafe: Task, tmp_path: Path) -> None:
    folder = write_embedded(tmp_path, ["a clerk"], EmbeddedLlamaConfig(hidden=16, layers=1, heads=2, mlp=16, vocabulary=300))
    config = FAKES.model_validate({"judge": f"llm:{folder}", "llm": {"max_new_tokens": 200, "longest_text": 8}})
    (reply,) = load_service("judge", config, words_of(cafe)).batch([JudgeRequest("A clerk.", "tea", ("green_tea",), ((1, "Exit"),), 0)])
    assert read_verdict(str(reply)).problem is None


def test_whisper_is_known_by_its_weights(cafe: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Silent:
        def transcribe(self, samples: np.ndarray) -> str:
            return ""

    told: list[str | None] = []

    def load(source: str, language: str | None) -> Silent:
        told.append(language)
        return Silent()

    monkeypatch.setattr("rapport.models.backends.asr.whisper.load", load)
    found: list[str] = []
    for number in (0, 0, 1):
        folder = write_embedded(
            tmp_path / str(len(found)), ["x"], EmbeddedLlamaConfig(hidden=16, layers=1, heads=2, mlp=16, vocabulary=300), seed=number
        )
        found.append(load_service("ears", ServicesConfig(ears=f"whisper:{folder}"), words_of(cafe)).version)
    assert found[0] == found[1] != found[2]
    assert load_service("ears", ServicesConfig(ears=f"whisper:{folder}", language=""), cafe).version != found[2]
    assert told == ["en", "en", "en", None]


class Engine:
    """A synthesizer that tells what it was asked."""

    provenance: Mapping[str, str] = {"engine": "test"}
    voices: Mapping[str, tuple[str, ...]] = {"female": ("ann", "eve"), "male": ("bob",)}

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def speak(self, text: str, voice: Voice, prosody: Prosody | None = None, *, seed: int = 0) -> tuple[np.ndarray, int]:
        self.said.append((text, voice.name))
        return np.sin(np.arange(1_000, dtype=np.float32)), 10_000


def spoken(**fields: Any) -> tuple[list[tuple[str, str]], np.ndarray]:
    engine = Engine()
    (samples,) = SpokenLines(engine).batch([SpeechRequest(**{"text": "hi", "voice": "ann", "rate_hz": 20_000, **fields})])
    assert isinstance(samples, np.ndarray)
    return engine.said, samples


def test_lines_come_at_the_rate_that_was_asked_for() -> None:
    for rate_hz in (10_000, 20_000, 22_050):
        samples = spoken(rate_hz=rate_hz)[1]
        assert (samples.dtype, len(samples)) == (np.float32, rate_hz // 10)


def test_kokoro_names_become_voices_of_the_same_gender() -> None:
    assert spoken(voice="am_adam")[0] == [("hi", "bob")]
    women = {spoken(voice=name)[0][0][1] for name in ("af_heart", "af_bella", "bf_emma", "af_sky", "af_nova")}
    assert women == {"ann", "eve"}
    assert spoken(voice="eve")[0] == [("hi", "eve")]
    assert spoken(voice="")[0] == [("hi", "ann")], "a scene without a voice"
    assert spoken(voice="de+f2")[0] == [("hi", "de+f2")], "an engine may know more than it lists"


def test_no_words_are_a_moment_of_silence_and_endless_ones_are_cut() -> None:
    said, samples = spoken(text=" \n")
    assert (said, samples.any(), len(samples)) == ([], False, 2_000)
    assert len(spoken(text="la " * 5_000)[0][0][0]) == 1_000


def test_unknown_voices_are_told_by_the_engine(cafe: Task) -> None:
    with pytest.raises(RapportError, match="no voice 'nobody'"):
        load_service("voice", ServicesConfig(), words_of(cafe)).batch([SpeechRequest("hello", "nobody", 22_050)])


def test_silence_and_short_clips_are_heard_as_nothing(cafe: Task) -> None:
    for config in (ServicesConfig(), FAKES):
        ears = load_service("ears", config, words_of(cafe))
        for samples in (np.zeros(22_050), np.zeros(0), np.full(3, 0.1)):
            assert ears.batch([HearingRequest(samples.astype(np.float32), 22_050)]) == [""]


def test_clips_are_heard_together_where_an_engine_can() -> None:
    class Many:
        def transcribe(self, samples: np.ndarray) -> str:
            raise AssertionError("one at a time")

        def transcribe_all(self, clips: Sequence[np.ndarray]) -> list[str]:
            return [f" {len(clip)} " for clip in clips]

    clips = [np.ones(80, np.float32), np.zeros(80, np.float32), np.ones(160, np.float32)]
    assert HeardWords(Many(), "many").batch([HearingRequest(clip, 8_000) for clip in clips]) == ["160", "", "320"]


def test_the_grammar_is_part_of_the_ears(cafe: Task) -> None:
    config = ServicesConfig()
    corner = load_task("cafe_corner")
    versions = {load_service("ears", c, words_of(t)).version for c, t in ((config, cafe), (config, corner))}
    versions.add(load_service("ears", ServicesConfig(grammar=False), words_of(cafe)).version)
    assert len(versions) == 3
    assert isinstance(load_service("ears", ServicesConfig(cache=CacheConfig(enabled=False)), words_of(cafe)), HeardWords)


def test_a_grammar_of_ones_own_replaces_the_tasks(cafe: Task, tmp_path: Path) -> None:
    file = tmp_path / "doors.jsgf"
    file.write_text("#JSGF V1.0;\ngrammar doors;\npublic <doors> = open the door | close the door;\n")
    config = ServicesConfig(ears=f"pocketsphinx:{file}")
    ears = load_service("ears", config, cafe)
    (samples,) = load_service("voice", config, cafe).batch([SpeechRequest("close the door", "en-us+f2", 16_000)])
    assert ears.batch([HearingRequest(np.asarray(samples), 16_000)]) == ["close the door"]
    file.write_text(file.read_text().replace("close", "shut"))
    assert load_service("ears", config, cafe).version != ears.version


def test_no_ears_are_refused(cafe: Task) -> None:
    with pytest.raises(RapportError, match="ears: off hears nothing"):
        load_services(ServicesConfig(ears="off"), cafe)
