"""The speech language model from nothing to an answer, as a user makes it, at its smallest: every job reads what the one before wrote."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rapport.core.audio import load_speech
from rapport.datasets.emosds.examples import read_examples
from rapport.datasets.prepare import PrepareConfig
from rapport.datasets.prepared import open_prepared
from rapport.datasets.synthetic.maker import MakeCorpusConfig
from rapport.datasets.unit_store import open_units
from rapport.models.emosds.codebooks import codebook_of
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question
from rapport.models.emosds.engine import load_engine
from rapport.models.emosds.pretrained import from_pretrained
from rapport.ray_jobs import build_emosds, evaluate_emosds, extract_features, fit_units, make_corpus, prepare_corpus, train_emosds
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_training.config import TrainEmosdsConfig
from rapport.ray_jobs.speech_features.config import ExtractFeaturesConfig, FitUnitsConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZES = {"librispeech": (10, 3), "esd": (10, 24)}
CLUSTERS = 12
TRAINING = {"epochs": 2, "batch_tokens": 2048, "optim": {"lr": 0.003}, "precision": "fp32"}
MODEL = {
    "base": "embedded",
    "embedded": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 32, "vocabulary": 400},
    "injection": {"kind": "strided", "stride": 4},
    "instructions": "short",
    "max_tokens": 1024,
}


@pytest.fixture(scope="module")
def chain(ray_cluster: dict[str, float], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each job printed, by its name."""
    root = str(tmp_path_factory.mktemp("chain"))
    done: dict[str, dict[str, Any]] = {}
    for corpus, (speakers, clips) in SIZES.items():
        made = {"storage": root, "layout": corpus, "speakers": speakers, "utterances": clips}
        done[f"make {corpus}"] = make_corpus.run(MakeCorpusConfig.model_validate(made))
        split = {"method": "speaker_and_sentence"} if corpus == "esd" else {}
        prepared = {"storage": root, "corpus": {"name": corpus, "root": done[f"make {corpus}"]["folder"]}, "split": split}
        done[f"prepare {corpus}"] = prepare_corpus.run(PrepareConfig.model_validate(prepared))
    corpora = {"storage": root, "corpora": list(SIZES), "actors": 2}
    fit = {**corpora, "name": "toy", "kmeans": {"clusters": CLUSTERS, "max_speech_s": 60, "full_passes": 2}}
    done["fit"] = fit_units.run(FitUnitsConfig.model_validate(fit))
    done["extract"] = extract_features.run(ExtractFeaturesConfig.model_validate({**corpora, "units": {"codebook": "toy"}}))
    dialogues = f"{done['make esd']['folder']}/EmoSC_dialogues.jsonl"
    done["build"] = build_emosds.run(BuildEmosdsConfig.model_validate({"storage": root, "name": "toy", "dialogues": dialogues}))
    stages = {f"stage_{number}": {"training": TRAINING} for number in (1, 2, 3)}
    workers = {"cpus": 1, "use_gpu": "no"}
    training = {"storage": root, "name": "toy", "data": "toy", "model": MODEL, "workers": workers, **stages}
    done["train"] = train_emosds.run(TrainEmosdsConfig.model_validate(training))
    evaluation = {
        "storage": root,
        "models": "toy",
        "data": "toy",
        "generation": {"max_new_tokens": 24, "constrained": True},
        "max_examples": 4,
        "actors": 1,
        "resamples": 100,
    }
    done["evaluate"] = evaluate_emosds.run(EvaluateEmosdsConfig.model_validate(evaluation))
    return done


def test_every_clip_is_encoded_with_the_codebook_that_was_fitted(chain: dict[str, dict[str, Any]]) -> None:
    for corpus, told in zip(SIZES, chain["extract"]["corpora"], strict=True):
        store = open_units(told["folder"], chain["fit"]["hash"])
        rows = open_prepared(chain[f"prepare {corpus}"]["folder"]).rows
        assert len(rows) == len(store) == SIZES[corpus][0] * SIZES[corpus][1]
        for row in rows:
            frames, units = store.lengths(row.utterance_id)
            assert 0 < units <= frames
            assert frames * 0.02 == pytest.approx(row.duration_s, abs=0.05)


def test_each_stage_has_examples_and_no_speaker_or_sentence_lies_on_two_sides(chain: dict[str, dict[str, Any]]) -> None:
    assert chain["build"]["leak_free"]
    sides = {
        (stage, side): read_examples(chain["build"]["folder"], stage, side)
        for stage in (1, 2, 3)
        for side in ("train", "validation", "test")
    }
    assert all(sides[stage, "train"] and sides[stage, "test"] for stage in (1, 2, 3))
    assert {row.emotion for row in sides[1, "train"]} == {None}
    assert all(row.history and row.reply_text and row.reply_emotion for row in sides[3, "train"])


def test_each_stage_learns_and_hands_its_model_on(chain: dict[str, dict[str, Any]]) -> None:
    before: list[str] = []
    for number, stage in enumerate(chain["train"]["stages"].values(), 1):
        model = from_pretrained(stage["model"])
        assert model.lineage.stage == number
        assert model.lineage.codebook_hash == chain["fit"]["hash"]
        assert model.lineage.predecessors == ("embedded", *before)
        assert model.settings.clusters == CLUSTERS
        before.append(stage["model"])
    assert chain["train"]["model"] == before[-1]


def test_the_last_model_is_evaluated_by_what_it_writes(chain: dict[str, dict[str, Any]]) -> None:
    result = chain["evaluate"]
    assert result["stage"] == 3
    (figures,) = result["systems"].values()
    assert figures["malformed"] == 0
    rows = pq.read_table(f"{result['folder']}/predictions.parquet").to_pylist()
    assert 0 < len(rows) == result["examples"] <= 4
    asked = {row.example_id: row for row in read_examples(chain["build"]["folder"], 3, "test")}
    assert all(row["text"] == asked[row["example_id"]].text for row in rows)
    assert Path(result["page"]).exists()


def test_the_model_folder_alone_is_enough_to_hear_and_to_answer(chain: dict[str, dict[str, Any]]) -> None:
    folder = chain["train"]["model"]
    assert codebook_of(folder, None).hash == chain["fit"]["hash"]
    clip = next(Path(chain["make esd"]["folder"]).rglob("*.wav"))
    engine = load_engine(folder, device="cpu")
    generation = GenerationConfig(constrained=True, max_new_tokens=24)
    (reply,) = engine.reply([Question(load_speech(clip).samples, generation=generation)])
    assert reply.answer.user_emotion
    assert reply.answer.reply_emotion
