"""Codebooks and features as jobs over Ray: resumed, shared, refused."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans

from rapport.core import storage
from rapport.core.audio import encode_wav
from rapport.core.errors import RapportError
from rapport.datasets.feature_store import open_frames
from rapport.datasets.prepare import PrepareConfig
from rapport.datasets.prepared import PreparedCorpus, open_prepared
from rapport.datasets.unit_store import find_units, open_units
from rapport.models.units.codebook import load_codebook
from rapport.models.units.front_end import load_front_end
from rapport.ray_jobs import extract_features, fit_units, prepare_corpus
from rapport.ray_jobs.speech_features import fitting
from rapport.ray_jobs.speech_features.config import ExtractFeaturesConfig, FitUnitsConfig

CLIPS = 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def prepare(root: Path, audio: Path, **split: object) -> PreparedCorpus:
    config = {"corpus": {"name": "ravdess", "root": str(audio)}, "storage": str(root), "split": {"method": "speaker", **split}}
    return open_prepared(prepare_corpus.run(PrepareConfig.model_validate(config))["folder"])


def fitting_config(root: Path, **changes: object) -> FitUnitsConfig:
    kmeans = {"clusters": 8, "start_frames": 100, "full_passes": 6, "tolerance": 0.0}
    values = {"corpora": "ravdess", "storage": str(root), "name": "toy", "kmeans": kmeans, "chunk_size": 2, "actors": 2}
    return FitUnitsConfig.model_validate({**values, **changes})


def extraction(root: Path, **changes: Any) -> ExtractFeaturesConfig:
    units = {"codebook": "toy", "residual_dtype": "float32", **changes.pop("units", {})}
    values = {"corpora": "ravdess", "storage": str(root), "units": units, "chunk_size": 5, "actors": 2}
    return ExtractFeaturesConfig.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def place(ray_cluster: dict[str, float], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, PreparedCorpus]:
    """A storage root with a prepared corpus and a codebook, and the audio."""
    root = tmp_path_factory.mktemp("units")
    audio = root / "audio"
    for index in range(CLIPS):
        actor = index // 2 + 1
        noise = np.random.default_rng(index)
        tone = np.sin(np.arange(8_000 + 400 * index) * (0.05 + 0.01 * index))
        path = audio / f"Actor_{actor:02d}" / f"03-01-0{1 + index % 2}-01-01-01-{actor:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav((0.1 * tone + noise.normal(0, 0.02, len(tone))).astype(np.float32)))
    corpus = prepare(root, audio)
    fit_units.run(fitting_config(root))
    return root, audio, corpus


def test_a_codebook_is_fitted_on_the_training_side_and_found_again(place: tuple[Path, Path, PreparedCorpus]) -> None:
    root, _, corpus = place
    book = load_codebook(root / "features" / "units" / "toy")
    assert book.centroids.shape == (8, 32)
    figures = book.metadata["fit"]["figures"]
    assert figures["frames"] == sum(round((row.duration_s or 0) * 16_000 - 400) // 320 + 1 for row in corpus.split("train"))
    distances = [entry["mean_distance"] for entry in book.metadata["fit"]["history"]]
    assert distances[-1] < distances[0]
    assert sorted(p.name for p in (root / "features" / "units" / "toy").iterdir()) == ["codebook.json", "codebook.safetensors"]
    assert fit_units.run(fitting_config(root))["hash"] == book.hash
    with pytest.raises(RapportError, match="choose another --name"):
        fit_units.run(fitting_config(root, seed=1))


def test_a_fit_that_was_killed_ends_with_the_same_centroids(
    place: tuple[Path, Path, PreparedCorpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, _ = place
    config = fitting_config(root, name="again")
    save, passes = fitting.save, []

    def dies(*given: Any, **options: Any) -> bytes:
        passes.append(1)
        if len(passes) == 4:
            raise KeyboardInterrupt
        return save(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            fit_units.run(config)
    assert not (root / "features" / "units" / "again" / "codebook.json").exists()
    started = []
    monkeypatch.setattr(fitting, "choose_start", lambda *given: started.append(given))
    assert fit_units.run(config)["hash"] == load_codebook(root / "features" / "units" / "toy").hash
    assert not started


def test_stored_units_are_those_of_the_front_end(place: tuple[Path, Path, PreparedCorpus]) -> None:
    root, _, corpus = place
    result = extract_features.run(extraction(root))
    book = load_codebook(root / "features" / "units" / "toy")
    assert find_units(str(root), "ravdess", book.hash) == result["folder"]
    store = open_units(result["folder"], book.hash)
    hear = load_front_end(root / "features" / "units" / "toy")
    assert len(store) == CLIPS
    for row in corpus.rows:
        (wanted,) = hear([corpus.waveform(row.utterance_id)])
        found = store.get(row.utterance_id)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        assert found.residuals is not None
        assert wanted.residuals is not None
        np.testing.assert_allclose(found.residuals, wanted.residuals, atol=1e-5)
        assert store.lengths(row.utterance_id) == (len(wanted.ids), len(wanted.units))


def test_only_what_is_missing_is_made_again(place: tuple[Path, Path, PreparedCorpus]) -> None:
    root, _, _ = place
    folder = Path(extract_features.run(extraction(root))["folder"])
    shard = folder / "shards" / "shard-00001.safetensors"
    before = shard.read_bytes()
    for lost in (*(folder / "chunks").glob("chunk-00001-*"), folder / "manifest.json", shard):
        lost.unlink()
    untouched = (folder / "shards" / "shard-00000.safetensors").stat().st_mtime_ns
    assert extract_features.run(extraction(root))["chunks_reused"] == 2
    assert shard.read_bytes() == before
    assert (folder / "shards" / "shard-00000.safetensors").stat().st_mtime_ns == untouched


def test_another_split_of_the_same_speech_is_not_encoded_again(place: tuple[Path, Path, PreparedCorpus]) -> None:
    root, audio, corpus = place
    extract_features.run(extraction(root))
    other = prepare(root, audio, test=0.4)
    assert other.path != corpus.path
    assert extract_features.run(extraction(root, corpora=other.path))["chunks_reused"] == 3


def test_published_residuals_take_the_place_of_computed_ones(place: tuple[Path, Path, PreparedCorpus], tmp_path: Path) -> None:
    root, audio, corpus = place
    plain = open_units(extract_features.run(extraction(root))["folder"])
    for row in corpus.rows[1:]:
        target = tmp_path / Path(row.audio_path).relative_to(audio).with_suffix(".npy")
        target.parent.mkdir(parents=True, exist_ok=True)
        frames, _ = plain.lengths(row.utterance_id)
        np.save(target, np.full((frames - (row is corpus.rows[2]), 32), 0.5, np.float32))
    units = {"residual_tree": str(tmp_path), "audio_root": str(audio)}
    with pytest.raises(RapportError, match=r"2 of 12 clips .*1 residuals_differ, 1 residuals_missing"):
        extract_features.run(extraction(root, units=units))
    mended = tmp_path / Path(corpus.rows[2].audio_path).relative_to(audio).with_suffix(".npy")
    np.save(mended, np.full((plain.lengths(corpus.rows[2].utterance_id)[0], 32), 0.5, np.float32))
    result = extract_features.run(extraction(root, units=units, max_quarantined_fraction=0.2))
    assert result["corpora"][0]["reasons"] == {"residuals_missing": 1}
    bad = storage.read_table(storage.join(result["folder"], "quarantine.parquet")).to_pylist()
    assert [b["utterance_id"] for b in bad] == [corpus.rows[0].utterance_id]
    store = open_units(result["folder"])
    name = corpus.rows[1].utterance_id
    assert np.all(store.get(name).residuals == 0.5)
    np.testing.assert_array_equal(store.get(name).ids, plain.get(name).ids)


@pytest.mark.parametrize(("features", "width"), [("frames", 32), ("logmel", 80), ("egemaps", 88)])
def test_other_features_are_stored_as_frames(place: tuple[Path, Path, PreparedCorpus], features: str, width: int) -> None:
    root, _, corpus = place
    result = extract_features.run(extraction(root, features=features, dtype="float16"))
    store = open_frames(result["folder"])
    frames = store.get(corpus.rows[3].utterance_id)
    assert frames.dtype == np.float16
    assert frames.shape == (store.lengths(corpus.rows[3].utterance_id)[0], width)
    with pytest.raises(RapportError, match="wanted what extract_features --features units wrote"):
        open_units(result["folder"])


def test_a_published_codebook_is_taken_over(place: tuple[Path, Path, PreparedCorpus], tmp_path: Path) -> None:
    root, _, _ = place
    random = np.random.default_rng(0)
    model = KMeans(5, n_init=1, random_state=0).fit(random.normal(size=(60, 32)).astype(np.float32))
    joblib.dump(model, tmp_path / "km.pt")
    config = fitting_config(root, name="published", published=str(tmp_path / "km.pt"))
    result = fit_units.run(config)
    book = load_codebook(result["folder"])
    np.testing.assert_array_equal(book.centroids, model.cluster_centers_)
    assert book.metadata["fit"]["published"] == "km.pt"
    narrow = KMeans(5, n_init=1, random_state=0).fit(random.normal(size=(60, 3)))
    joblib.dump(narrow, tmp_path / "narrow.pt")
    with pytest.raises(RapportError, match="centroids of width 3: the encoder's frames have 32"):
        fit_units.run(fitting_config(root, name="narrow", published=str(tmp_path / "narrow.pt")))


def test_a_codebook_that_is_not_there_is_told(place: tuple[Path, Path, PreparedCorpus]) -> None:
    root, _, _ = place
    with pytest.raises(RapportError, match="--name absent"):
        extract_features.run(extraction(root, units={"codebook": "absent"}))
