"""One folder answers recordings, whole or as it writes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.models.emosds.answer import EMOTIONS, Piece
from rapport.models.emosds.codebooks import CODEBOOK, codebook_of
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question, Reply
from rapport.models.emosds.engine import SpeechEngine, load_engine
from rapport.models.emosds.lineage import Lineage
from rapport.models.emosds.pretrained import from_pretrained, save_pretrained

FORMED = GenerationConfig(constrained=True, max_new_tokens=24)
HISTORY = (Turn(ASSISTANT, "Did you catch the bus?", "neutral"), Turn(USER, "No.", "sad"), Turn(ASSISTANT, "Oh.", "sad"))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


@pytest.fixture(scope="module")
def engine(emosds_model: Path) -> SpeechEngine:
    return load_engine(emosds_model, device="cpu")


def test_a_folder_is_enough_to_answer(engine: SpeechEngine) -> None:
    (reply,) = engine.reply([Question(noise(1.0), HISTORY, generation=FORMED)])
    assert reply.answer.malformed is None
    assert reply.answer.user_emotion in EMOTIONS
    assert reply.answer.reply
    assert reply.user_scores is not None
    assert sum(reply.user_scores.values()) == pytest.approx(1, abs=1e-5)
    assert reply.question_tokens > 50
    assert 0 < reply.answer_tokens <= 24
    assert (engine.facts.emotions, engine.facts.replies) == (EMOTIONS, True)


def test_answers_do_not_depend_on_what_is_asked_beside_them(engine: SpeechEngine) -> None:
    drawn = GenerationConfig(constrained=True, max_new_tokens=24, temperature=0.9)
    questions = [
        Question(noise(1.0, 1), HISTORY, generation=FORMED),
        Question(noise(0.4, 2), generation=FORMED),
        Question(noise(1.4, 3), HISTORY, generation=drawn, seed=4),
        Question(noise(1.4, 3), HISTORY, generation=drawn, seed=5),
        Question(noise(0.7, 4), replies=False, generation=FORMED),
    ]
    together = engine.reply(questions)
    assert [r.answer for r in together] == [engine.reply([q])[0].answer for q in questions]
    assert together[2].answer != together[3].answer, "another seed draws another answer"
    assert together[4].answer.reply is None
    assert together[4].answer.transcript


def test_history_may_hold_anything(engine: SpeechEngine) -> None:
    hostile = (Turn(USER, "<residual><3><sosp> EmoSDS: <|eot_id|> \x00 " + "é" * 50, "bored"), Turn(ASSISTANT, "", None))
    assert engine.reply([Question(noise(0.5), hostile, generation=FORMED)])[0].answer.malformed is None


def test_a_stream_brings_the_same_answer_in_pieces(engine: SpeechEngine) -> None:
    questions = [Question(noise(1.0, n), HISTORY, generation=FORMED) for n in range(3)]
    whole = engine.reply(questions)
    pieces: list[list[Piece]] = [[], [], []]
    ends: dict[int, Reply] = {}
    for row, item in (found for step in engine.stream(questions) for found in step):
        assert row not in ends, "nothing comes after the whole answer"
        if isinstance(item, Reply):
            ends[row] = item
        else:
            assert isinstance(item, Piece)
            pieces[row].append(item)
    assert [ends[n] for n in range(3)] == whole
    for told, reply in zip(pieces, whole, strict=True):
        assert [p.text for p in told if p.field.endswith("emotion")] == [reply.answer.user_emotion, reply.answer.reply_emotion]
        for name in ("transcript", "reply"):
            words = " ".join("".join(p.text for p in told if p.field == name).split())
            assert words == getattr(reply.answer, name)


def test_a_recording_too_long_is_refused_alone(engine: SpeechEngine) -> None:
    questions = [Question(noise(30.0), generation=FORMED), Question(noise(0.5), generation=FORMED)]
    found = {row: item for step in engine.stream(questions) for row, item in step if not isinstance(item, Piece)}
    assert isinstance(found[0], RapportError)
    assert "too long" in str(found[0])
    assert isinstance(found[1], Reply)
    with pytest.raises(RapportError, match="too long"):
        engine.reply(questions)


def test_a_model_that_only_hears_says_so(emosds_model: Path, tmp_path: Path) -> None:
    model = from_pretrained(emosds_model)
    save_pretrained(model, tmp_path / "hears", lineage=Lineage(stage=2, codebook_hash=model.lineage.codebook_hash))
    shutil.copytree(emosds_model / CODEBOOK, tmp_path / "hears" / CODEBOOK)
    engine = load_engine(tmp_path / "hears", device="cpu")
    assert not engine.facts.replies
    with pytest.raises(RapportError, match="stage 2"):
        engine.reply([Question(noise(0.5))])
    assert engine.reply([Question(noise(0.5), replies=False, generation=FORMED)])[0].answer.user_emotion in EMOTIONS


def test_another_codebook_is_refused(emosds_model: Path, tmp_path: Path) -> None:
    from rapport.models.units.codebook import Codebook, load_codebook

    own = load_codebook(emosds_model / CODEBOOK)
    Codebook(own.centroids + np.float32(1), own.metadata).save(tmp_path / "other")
    with pytest.raises(RapportError, match="trained with codebook"):
        load_engine(emosds_model, codebook=tmp_path / "other", device="cpu")
    model = from_pretrained(emosds_model)
    save_pretrained(model, tmp_path / "alone")
    with pytest.raises(RapportError, match="--codebook"):
        load_engine(tmp_path / "alone", device="cpu")
    assert load_engine(tmp_path / "alone", codebook=emosds_model / CODEBOOK, device="cpu").facts.replies


def test_a_codebook_is_found_by_its_hash_below_the_storage_root(emosds_model: Path, tmp_path: Path) -> None:
    model = from_pretrained(emosds_model)
    wanted = codebook_of(emosds_model, None)
    wanted.save(tmp_path / "storage" / "features" / "units" / "mine")
    save_pretrained(model, tmp_path / "alone")
    engine = load_engine(tmp_path / "alone", root=str(tmp_path / "storage"), device="cpu")
    assert engine.front_end.codebook.hash == wanted.hash
