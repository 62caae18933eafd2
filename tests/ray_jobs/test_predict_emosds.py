"""Recordings in, the four fields of an answer out, and bad files told apart."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.audio import load_speech
from rapport.core.errors import RapportError
from rapport.core.schema import Turn
from rapport.models.emosds.answer import EMOTIONS
from rapport.models.emosds.dialogue import Question
from rapport.models.emosds.engine import load_engine
from rapport.ray_jobs.predict_emosds import PredictEmosdsConfig, read_history, run

BEFORE = [{"speaker": "assistant", "text": "Did you catch the bus?", "emotion": "neutral"}]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for name, seconds in (("a.wav", 0.8), ("b.flac", 1.2), ("c.wav", 0.5)):
        soundfile.write(folder / name, np.random.default_rng(len(name)).normal(0, 0.1, round(seconds * 16_000)), 16_000)
    (folder / "history.json").write_text(json.dumps(BEFORE))
    return folder


def settings(model: Path, *inputs: Path, **more: object) -> PredictEmosdsConfig:
    values = {"inputs": [str(path) for path in inputs], "model": str(model), "device": "cpu", **more}
    return PredictEmosdsConfig.model_validate({"generation": {"constrained": True, "max_new_tokens": 24}, **values})


def test_a_folder_is_answered_after_a_history(emosds_model, recordings, tmp_path):
    out = tmp_path / "answers.json"
    result = run(settings(emosds_model, recordings, history=str(recordings / "history.json"), out=str(out), batch_size=2))
    rows = json.loads(out.read_text())
    assert (result["files"], result["bad"], result["malformed"]) == (3, 0, 0)
    engine = load_engine(emosds_model, device="cpu")
    for row in rows:
        question = Question(load_speech(row["path"]).samples, (Turn(**BEFORE[0]),), generation=settings(emosds_model).generation)
        answer = engine.reply([question])[0].answer
        assert (row["user_emotion"], row["transcript"]) == (answer.user_emotion, answer.transcript)
        assert (row["reply_emotion"], row["reply"]) == (answer.reply_emotion, answer.reply)
        assert set(row["user_scores"]) == set(EMOTIONS)


def test_a_session_hears_each_file_after_those_before_it(emosds_model, recordings, tmp_path):
    out = tmp_path / "answers.jsonl"
    run(settings(emosds_model, recordings / "a.wav", recordings / "b.flac", session=True, out=str(out)))
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    turns = (Turn("user", first["transcript"], first["user_emotion"]), Turn("assistant", first["reply"], first["reply_emotion"]))
    question = Question(load_speech(second["path"]).samples, turns, generation=settings(emosds_model).generation)
    assert load_engine(emosds_model, device="cpu").reply([question])[0].answer.reply == second["reply"]


def test_files_without_an_answer_are_named_after_the_others_are_written(emosds_model, recordings, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no sound in here")
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.1, 16_000 * 29), 16_000)
    out = tmp_path / "answers.csv"
    files = (recordings / "a.wav", tmp_path / "broken.wav", tmp_path / "long.wav")
    with pytest.raises(
        RapportError, match=r"2 of 3 files have no answer(.|\n)*broken\.wav: not_audio(.|\n)*long\.wav: no_answer: .*too long"
    ):
        run(settings(emosds_model, *files, out=str(out)))
    rows = list(csv.DictReader(out.open()))
    assert [row["reason"] for row in rows] == ["", "not_audio", "no_answer"]
    assert rows[0]["reply"]


def test_rows_are_printed_as_they_come_and_replies_can_be_left_out(emosds_model, recordings, capsys):
    run(settings(emosds_model, recordings / "a.wav", replies=False))
    row = json.loads(capsys.readouterr().out)
    assert row["transcript"]
    assert row["reply"] is None


def test_emotions_of_a_history_are_names_or_tags(tmp_path):
    emotions = ["sad", "<sadness>", "Sadness", None]
    (tmp_path / "history.json").write_text(json.dumps([{"speaker": "user", "text": "Hi", "emotion": emotion} for emotion in emotions]))
    assert [turn.emotion for turn in read_history(str(tmp_path / "history.json"))] == ["sad", "sad", "sad", None]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ("no JSON", "wanted a JSON list"),
        ('{"speaker": "user"}', "wanted a JSON list"),
        ('[{"speaker": "B", "text": "Hi", "emotion": null}]', "speaker is 'B', wanted user or assistant"),
        ('[{"speaker": "user", "text": "Hi", "emotion": "hapy"}]', "'hapy' is not in the vocabulary .* did you mean 'happy'"),
    ],
)
def test_a_history_that_is_none_is_refused(emosds_model, recordings, tmp_path, turns, reason):
    (tmp_path / "history.json").write_text(turns)
    with pytest.raises(RapportError, match=f"--history .*history.json: .*{reason}"):
        run(settings(emosds_model, recordings / "a.wav", history=str(tmp_path / "history.json")))
