"""The job makes a corpus with Ray that is the same however it is made, and that a small classifier can learn across speakers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rapport.core.audio import load_speech
from rapport.datasets.corpora import ravdess
from rapport.datasets.synthetic.maker import MakeCorpusConfig
from rapport.ray_jobs.make_corpus import run

SPEAKERS, UTTERANCES = 12, 24


def settings(folder: Path, **changes: object) -> MakeCorpusConfig:
    return MakeCorpusConfig.model_validate({"out": str(folder), "speakers": 2, "utterances": 8, **changes})


def test_parallel_work_gives_the_same_corpus_and_a_second_run_makes_nothing(ray_cluster, tmp_path: Path) -> None:
    wide = run(settings(tmp_path / "wide", chunk_size=2))
    narrow = run(settings(tmp_path / "narrow", chunk_size=16, concurrency=1))
    assert wide["files"] == wide["files_made"] == 16
    assert wide["digest"] == narrow["digest"]
    again = run(settings(tmp_path / "wide", chunk_size=2))
    assert again["files_made"] == 0
    assert again["digest"] == wide["digest"]
    next((tmp_path / "wide").rglob("*.wav")).unlink()
    mended = run(settings(tmp_path / "wide", chunk_size=2))
    assert mended["files_made"] == 1
    assert mended["digest"] == wide["digest"]


@pytest.fixture(scope="module")
def corpus(ray_cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "ravdess"
    run(settings(folder, speakers=SPEAKERS, utterances=UTTERANCES))
    return folder


def test_emotions_can_be_told_across_speakers_but_not_perfectly(corpus: Path) -> None:
    rows = ravdess.scan(str(corpus), ravdess.Options()).rows
    assert len(rows) == SPEAKERS * UTTERANCES
    features = np.stack([_spectral_statistics(load_speech(row.audio_path).samples) for row in rows])
    emotions, speakers = [row.emotion for row in rows], [row.speaker_id for row in rows]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
    guessed = cross_val_predict(classifier, features, emotions, groups=speakers, cv=GroupKFold(4))
    assert 0.4 < recall_score(emotions, guessed, average="macro") < 0.9  # chance is 0.125


def _spectral_statistics(samples: np.ndarray) -> np.ndarray:
    """Level, spread and movement of 32 bands, and the length, of a clip."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(3, power.shape[1], 33).astype(int))
    bands = np.log(np.stack([power[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1) + 1e-7)
    movement = np.abs(np.diff(bands, axis=0)).mean(axis=0)
    return np.concatenate([bands.mean(0), bands.std(0), np.percentile(bands, 90, axis=0), movement, [len(samples)]])
