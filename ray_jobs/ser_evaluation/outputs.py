"""What an evaluation leaves behind: tables, pictures, pages, and the model card."""

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.saving import CARD
from rapport.ray_jobs.reports.confusion import confusion_animation, confusion_image
from rapport.ray_jobs.reports.embeddings import EmbeddedClips, embeddings_image, embeddings_page
from rapport.ray_jobs.reports.evaluation import evaluation_page
from rapport.ray_jobs.reports.geometry import MINIMUM_CLIPS, describe_space, draw_map, principal_view
from rapport.ray_jobs.reports.misclassified import Mistake, write_misclassified
from rapport.ray_jobs.reports.model_card import TrainingData, model_card, training_data
from rapport.ray_jobs.reports.page import percent
from rapport.ray_jobs.ser_evaluation.config import EmbeddingsConfig, EvaluateSerConfig
from rapport.ray_jobs.ser_evaluation.recognise import Recognised
from rapport.ray_jobs.ser_evaluation.subject import Subject
from rapport.training.metrics import classification_metrics
from rapport.training.tracking import CONFUSIONS

METRICS, PREDICTIONS, EMBEDDINGS, PAGE = "metrics.json", "predictions.parquet", "embeddings.parquet", "index.html"


def figures(subject: Subject, recognised: Mapping[float | None, Recognised], config: EvaluateSerConfig) -> dict[str, Any]:
    """The metrics of `classification_metrics`, and the same in noise by ratio under `per_snr`."""

    def measure(found: Recognised) -> dict[str, Any]:
        return classification_metrics(
            targets(subject),
            found.scores.argmax(1),
            found.scores,
            [row.speaker_id for row in subject.rows],
            [row.corpus for row in subject.rows],
            subject.emotions,
            resamples=config.resamples,
            seed=config.seed,
        )

    in_noise = {f"{snr_db:g}": measure(found) for snr_db, found in recognised.items() if snr_db is not None}
    return {**measure(recognised[None]), "per_snr": in_noise}


def targets(subject: Subject) -> npt.NDArray[np.int64]:
    """[N] index of each clip's true emotion."""
    return np.array([subject.emotions.index(str(row.emotion)) for row in subject.rows], dtype=np.int64)


def write_predictions(folder: str, subject: Subject, recognised: Mapping[float | None, Recognised]) -> None:
    """One row a clip and condition; `snr_db` is null without noise, `scores` a struct of probabilities."""
    tables = []
    for snr_db, found in recognised.items():
        rows = subject.rows
        columns = {
            "utterance_id": pa.array([row.utterance_id for row in rows]),
            "corpus": pa.array([row.corpus for row in rows]),
            "speaker_id": pa.array([row.speaker_id for row in rows], pa.string()),
            "split": pa.array([row.split for row in rows], pa.string()),
            "duration_s": pa.array([row.duration_s for row in rows], pa.float64()),
            "snr_db": pa.array([snr_db] * len(rows), pa.float64()),
            "target": pa.array([row.emotion for row in rows]),
            "prediction": pa.array([subject.emotions[i] for i in found.scores.argmax(1)]),
            "scores": pa.StructArray.from_arrays([pa.array(column) for column in found.scores.T], names=list(subject.emotions)),
        }
        tables.append(pa.table(columns))
    storage.write_table(storage.join(folder, PREDICTIONS), pa.concat_tables(tables))


def write_confusion(folder: str, subject: Subject, metrics: Mapping[str, Any]) -> dict[str, str]:
    """The confusion picture, and its film over the training where the run kept its confusions."""
    title = f"{subject.name} on {', '.join(metrics['per_corpus'])} ({subject.split}) · UAR {percent(metrics['uar'])}"
    storage.write_bytes(storage.join(folder, "confusion.png"), confusion_image(metrics["confusion"], metrics["labels"], title))
    files = {"confusion": "confusion.png"}
    history = storage.join(subject.run.folder, CONFUSIONS) if subject.run else None
    if history and storage.exists(history):
        confusions = np.load(io.BytesIO(storage.read_bytes(history)), allow_pickle=False)
        storage.write_bytes(storage.join(folder, "confusion.gif"), confusion_animation(confusions, subject.emotions))
        files["confusion_animation"] = "confusion.gif"
    return files


def write_mistakes(folder: str, subject: Subject, found: Recognised, most: int) -> dict[str, str]:
    """The misclassified clips with their page."""
    mistakes = []
    for row, scores in zip(subject.rows, found.scores.tolist(), strict=True):
        heard = subject.emotions[int(np.argmax(scores))]
        if heard != row.emotion:
            named = dict(zip(subject.emotions, scores, strict=True))
            mistakes.append(Mistake(row.utterance_id, row.corpus, row.speaker_id, str(row.emotion), heard, named))
    place = storage.join(folder, "misclassified")
    storage.remove(place)  # clips of an earlier evaluation of this name
    title = f"What {subject.name} gets wrong"
    write_misclassified(place, mistakes, subject.speech.waveform, clips=len(subject.rows), max_clips=most, title=title)
    return {"misclassified": "misclassified/index.html"}


def write_embeddings(
    folder: str, subject: Subject, found: Recognised, metrics: Mapping[str, Any], config: EmbeddingsConfig, seed: int
) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The embeddings as a table, their maps as a page and a picture, and the numbers of `describe_space` (None with too few clips)."""
    if found.embeddings is None:
        return {}, None
    heard, true = found.scores.argmax(1), targets(subject)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(found.embeddings.ravel()), found.embeddings.shape[1])
    table = pa.table(
        {
            "utterance_id": pa.array([row.utterance_id for row in subject.rows]),
            "corpus": pa.array([row.corpus for row in subject.rows]),
            "speaker_id": pa.array([row.speaker_id for row in subject.rows], pa.string()),
            "target": pa.array([row.emotion for row in subject.rows]),
            "prediction": pa.array([subject.emotions[i] for i in heard]),
            "embedding": vectors,
        }
    )
    storage.write_table(storage.join(folder, EMBEDDINGS), table)
    if len(subject.rows) < MINIMUM_CLIPS:
        return {"embeddings": EMBEDDINGS}, None
    chosen = np.arange(len(subject.rows))
    if len(chosen) > config.max_clips:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, config.max_clips, replace=False))
    rows = [subject.rows[i] for i in chosen]
    view = principal_view(found.embeddings[chosen], seed)
    space = describe_space(view, true[chosen], [row.corpus for row in rows], metrics["confusion"], subject.emotions, seed)
    maps: dict[str, npt.NDArray[np.float64]] = {name: draw_map(name, view, seed) for name in config.maps}
    clips = EmbeddedClips(
        [row.utterance_id for row in rows], true[chosen], heard[chosen], [row.corpus for row in rows], subject.emotions, maps
    )
    page = embeddings_page(clips, space, f"How {subject.name} hears {', '.join(metrics['per_corpus'])}")
    storage.write_bytes(storage.join(folder, "embeddings.html"), page.encode())
    storage.write_bytes(storage.join(folder, "embeddings.png"), embeddings_image(clips, f"{subject.name}, {subject.split}"))
    return {"embeddings": EMBEDDINGS, "embeddings_page": "embeddings.html", "embeddings_picture": "embeddings.png"}, space


def write_page(folder: str, subject: Subject, metrics: Mapping[str, Any], files: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """The front page; gives its path."""
    names = {
        "misclassified": "Misclassified clips",
        "embeddings_page": "Map of the embeddings",
        "confusion": "Confusion matrix (picture)",
        "embeddings_picture": "Embeddings (picture)",
    }
    page = evaluation_page(
        metrics,
        title=f"{subject.name} on {', '.join(metrics['per_corpus'])}",
        split=subject.split,
        files={title: files[key] for key, title in names.items() if key in files},
        facts=facts,
        per_snr=metrics["per_snr"],
        noise=str(facts.get("noise") or ""),
        film=files.get("confusion_animation"),
    )
    path = storage.join(folder, PAGE)
    storage.write_bytes(path, page.encode())
    return path


def write_card(subject: Subject, metrics: Mapping[str, Any], revision: str) -> str:
    """The model card in the model's folder; gives its path.

    Raises RapportError when the folder cannot be written to.
    """
    trained_on: list[TrainingData] = []
    training: dict[str, Any] = {"code revision of this evaluation": revision}
    if subject.run is not None:
        run, rows = subject.run, subject.run.selection.train
        trained_on = [training_data(name, [row for row in rows if row.corpus == name]) for name in Counter(row.corpus for row in rows)]
        optim = run.config.training.optim
        training = {
            "run": run.config.name,
            "seed": run.config.seed,
            "epochs": run.result.get("epochs"),
            "selected epoch": run.result.get("epoch"),
            "batch": run.config.training.batch_size,
            "learning rate": f"{optim.lr:g}" + (f" (encoder {optim.encoder_lr:g})" if optim.encoder_lr else ""),
            "parameters": run.result.get("parameters"),
            "trained parameters": run.result.get("trained_parameters"),
            **training,
        }
    card = model_card(
        subject.name,
        subject.settings,
        metrics,
        split=subject.split,
        trained_on=trained_on,
        training=training,
        per_snr=metrics["per_snr"],
    )
    path = storage.join(subject.model, CARD)
    try:
        storage.write_bytes(path, card.encode())
    except OSError as error:
        raise RapportError(f"the model card cannot be written to {path} ({error}): set write_card to false") from error
    return path
