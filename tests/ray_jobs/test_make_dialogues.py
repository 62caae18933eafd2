"""Dialogues from a prepared corpus, by the embedded maker and by a language model."""

import json
from pathlib import Path

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.dialogues.emosc import FILE, read_dialogues
from rapport.datasets.dialogues.generate import ACCEPTED
from rapport.datasets.prepared import PreparedCorpus
from rapport.ray_jobs import make_dialogues
from rapport.ray_jobs.make_dialogues import MakeDialoguesConfig, run

SENTENCES = ("The baker sold her purple socks.", "In London Anna found our ladder.")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeDialoguesConfig:
    rows = [
        Utterance(f"esd/{n}-{e}", "esd", "x.wav", text=text, emotion=e, emotion_raw=e)
        for n, text in enumerate(SENTENCES)
        for e in ("angry", "sad", "calm")
    ]
    monkeypatch.setattr("rapport.datasets.prepared.find_prepared", lambda root, name: f"{root}/{name}")
    monkeypatch.setattr("rapport.datasets.prepared.open_prepared", lambda path: PreparedCorpus("esd", path, rows, {}))
    return MakeDialoguesConfig(storage=str(tmp_path))


def test_corpora_are_separated_by_commas_and_may_be_folders(config: MakeDialoguesConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(config.storage) / "elsewhere"
    storage.finish(str(folder), {"corpus": "esd"})
    opened: list[str] = []

    def open_corpus(path: str) -> PreparedCorpus:
        opened.append(path)
        return PreparedCorpus("esd", path, [Utterance("esd/1", "esd", "x.wav", text=SENTENCES[0], emotion="sad")], {})

    monkeypatch.setattr("rapport.datasets.prepared.open_prepared", open_corpus)
    run(MakeDialoguesConfig.model_validate({**config.model_dump(), "corpora": f"esd, {folder}"}))
    assert opened == [f"{config.storage}/esd", str(folder)]


def test_the_embedded_maker_writes_dialogues_a_report_and_a_manifest(config: MakeDialoguesConfig) -> None:
    result = run(config)
    assert (result["scenarios"], result["sentences"]) == (4, 2)
    found = read_dialogues(result["dialogues"])
    assert not found.bad
    assert {s.current[0].text for s in found.scenarios} == set(SENTENCES)
    assert {t.emotion for s in found.scenarios for t in s.current} == {"angry", "sad"}
    assert storage.read_manifest(result["folder"])["kind"] == "dialogues"
    assert run(config)["folder"] == result["folder"]


def chat_config(config: MakeDialoguesConfig, **changes: object) -> MakeDialoguesConfig:
    values = {"maker": "chat", "chat": {"model": "tiny"}, "generate": {"attempts": 1}, **changes}
    return MakeDialoguesConfig.model_validate({**config.model_dump(), **values})


def test_too_many_refusals_fail_the_job_and_the_rest_is_kept(config: MakeDialoguesConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.datasets.dialogues.test_generate import answer_to

    def half(messages: list[dict[str, str]]) -> str:
        return "no" if "ladder" in messages[1]["content"] else answer_to(messages, current_turn2=_second(messages))

    def _second(messages: list[dict[str, str]]) -> str:
        return f"A: <neutral> {SENTENCES[0]}"

    monkeypatch.setattr(make_dialogues, "open_chat", lambda chat: half)
    with pytest.raises(RapportError, match=r"2 of 4 scenarios came to nothing \(2 json"):
        run(chat_config(config))
    (journal,) = Path(config.storage).rglob(ACCEPTED)
    assert len(journal.read_text().splitlines()) == 2
    result = run(chat_config(config, max_refused_fraction=0.5))
    assert result["scenarios"] == 2
    assert result["refused"] == {"json": 2}
    refused = [json.loads(line) for line in (Path(result["folder"]) / "refused.jsonl").read_text().splitlines()]
    assert {r["text"] for r in refused} == {SENTENCES[1]}
    assert (Path(result["folder"]) / FILE).is_file()


def test_a_corpus_without_emotional_sentences_is_refused(config: MakeDialoguesConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapport.datasets.prepared.open_prepared", lambda path: PreparedCorpus("esd", path, [], {}))
    with pytest.raises(RapportError, match="name prepared corpora of emotional sentences"):
        run(config)
