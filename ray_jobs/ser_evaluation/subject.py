"""What is evaluated: the model, the run that trained it if that is still there, and the clips."""

import posixpath
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rapport.core import storage
from rapport.core.config import read_config
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.prepared import PreparedCorpus, find_prepared, merge, open_prepared
from rapport.models.find import find_model
from rapport.ray_jobs.ser_evaluation.config import EvaluateSerConfig
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.ser_training.data import Selection, Sources, select_rows
from rapport.ray_jobs.training_runs import run_folder


@dataclass(frozen=True)
class TrainingRun:
    """How a model was trained, as its run folder tells."""

    folder: str
    config: TrainSerConfig
    sources: Sources
    selection: Selection
    result: dict[str, Any]
    """Empty while the run is not finished."""


@dataclass(frozen=True)
class Subject:
    """One evaluation before it begins."""

    model: str
    """The model's folder."""
    name: str
    """The model's name."""
    settings: dict[str, Any]
    """The model part of its config.json."""
    rows: list[Utterance]
    """The clips, longest first, so that a batch holds clips of like length."""
    speech: PreparedCorpus
    split: str
    run: TrainingRun | None
    excluded: dict[str, int] = field(default_factory=dict)
    """Clips left out because the model knows no such emotion, by label."""
    trained_speakers: tuple[str, ...] = ()
    """Speakers among the clips that the model was trained on: they flatter the figures."""

    @property
    def emotions(self) -> tuple[str, ...]:
        """The model's emotions, in the order of its scores."""
        return tuple(self.settings["emotions"])


def choose_subject(config: EvaluateSerConfig) -> Subject:
    """The model, the clips and what is known of the training.

    A corpus that the model was trained on is split as it was then. Raises RapportError when the model or a corpus is not there, or
    when no clip is left.
    """
    model = _model_folder(config)
    settings = storage.read_json(storage.join(model, "config.json"))["model"]
    run = find_run(model)
    folders = _corpus_folders(config, run)
    trained_on = {path: run.config.split for path in run.sources.corpora} if run else {}
    corpora, rows, excluded = [], [], Counter[str]()
    for path in folders:
        corpus = open_prepared(path)
        corpora.append(corpus.resplit(trained_on[path]) if path in trained_on else corpus)
        side = config.split if config.split != "auto" else "test" if path in trained_on or run is None else "all"
        for row in corpora[-1].rows:
            if side in ("all", row.split):
                if row.emotion in settings["emotions"]:
                    rows.append(row)
                else:
                    excluded[row.emotion or f"unlabelled ({row.emotion_raw})"] += 1
    if not rows:
        names = ", ".join(f"{c.name} ({dict(Counter(r.split for r in c.rows))})" for c in corpora)
        raise RapportError(f"no labelled clip on the {config.split} side of {names}: set split to a side that has some")
    speakers = {row.speaker_id for row in run.selection.train if row.speaker_id} if run else set()
    return Subject(
        model=model,
        name=posixpath.basename(model),
        settings=settings,
        rows=sorted(rows, key=lambda row: (-(row.duration_s or 0.0), row.utterance_id)),
        speech=merge(corpora),
        split="test" if config.split == "auto" else config.split,
        run=run,
        excluded=dict(excluded),
        trained_speakers=tuple(sorted({str(row.speaker_id) for row in rows if row.speaker_id in speakers})),
    )


def find_run(model: str) -> TrainingRun | None:
    """The run that trained the model in `<storage>/models/ser/<name>`, or None when it or its corpora are not there (any more)."""
    root = posixpath.dirname(posixpath.dirname(posixpath.dirname(model.rstrip("/"))))
    folder = storage.join(root, "runs", "train_ser", posixpath.basename(model.rstrip("/")))
    if not storage.exists(storage.join(folder, run_folder.SOURCES)):
        return None
    config = read_config(TrainSerConfig, storage.local_copy(storage.join(folder, run_folder.CONFIG)))
    sources = Sources.from_json(run_folder.sources_of(folder))
    if not all(storage.is_complete(path) for path in (*sources.corpora, *sources.test_corpora)):
        return None
    finished = run_folder.state_of(folder) == "finished"
    return TrainingRun(folder, config, sources, select_rows(config, sources), run_folder.finished_result(folder) if finished else {})


def _model_folder(config: EvaluateSerConfig) -> str:
    named = storage.join(config.storage, "models", "ser", config.model)
    chosen = named if config.model and "/" not in config.model and storage.exists(named) else config.model
    return run_folder.absolute(find_model(chosen, "ser", config.storage)).rstrip("/")


def _corpus_folders(config: EvaluateSerConfig, run: TrainingRun | None) -> list[str]:
    """The folders of the corpora; by name, the very preparation that the model was trained on is preferred to a newer one."""
    if not config.corpora:
        if run is None:
            raise RapportError("it is not known what this model was trained on: name the prepared corpora to evaluate on with --corpora")
        return list(run.sources.corpora)
    trained = {posixpath.basename(posixpath.dirname(path)): path for path in run.sources.corpora} if run else {}
    folders = []
    for name in config.corpora:
        if "/" in name:
            storage.read_manifest(name)
            folders.append(run_folder.absolute(name).rstrip("/"))
        else:
            folders.append(trained.get(name) or find_prepared(run_folder.absolute(config.storage), name))
    return folders
