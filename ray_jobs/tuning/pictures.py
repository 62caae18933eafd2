"""What a search looks like: a picture, a page, a table."""

from collections.abc import Sequence
from typing import Any

import optuna
import pyarrow as pa
from ray.tune.search.optuna import OptunaSearch

from rapport.core import storage
from rapport.ray_jobs.reports.search import Dimension, Trial, search_page, search_picture
from rapport.ray_jobs.tuning.study import Record, Study

# Fewer trials than this say nothing about importance.
_MINIMUM_TRIALS = 8


def write_pictures(study: Study, records: Sequence[Record], preset: str) -> str:
    """Write `index.html`, `search.png` and `trials.parquet` into the study's folder; gives the path of the page."""
    names = list(study.fields)
    trials = [Trial(r.number, r.key, r.params, r.score, r.epochs, r.state, r.error) for r in records if r.params.keys() == set(names)]
    dimensions = [_dimension(name, distribution) for name, distribution in _space(study).items()]
    metric = study.space.METRIC
    picture = search_picture(trials, dimensions, importance(study, records), metric)
    storage.write_bytes(storage.join(study.folder, "search.png"), picture)
    rows = [{"trial": t.number, "key": t.key, metric: t.score, "epochs": t.epochs, "state": t.state, **t.params} for t in trials]
    storage.write_table(storage.join(study.folder, "trials.parquet"), pa.Table.from_pylist(rows))
    facts = {"name": study.name, "metric": metric, "mode": study.space.MODE, "budget": study.budget}
    page = storage.join(study.folder, "index.html")
    storage.write_bytes(page, search_page(trials, dimensions, picture, preset, facts).encode())
    return page


def importance(study: Study, records: Sequence[Record]) -> dict[str, float]:
    """The share of the score's variance that each field explains (fANOVA, Hutter et al. 2014); empty with fewer than eight trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = _space(study)
    found = optuna.create_study(direction="maximize" if study.space.MODE == "max" else "minimize")
    for record in records:
        if record.score is not None and record.state != "failed" and record.params.keys() == space.keys():
            found.add_trial(optuna.trial.create_trial(value=record.score, params=record.params, distributions=space))
    values = {trial.value for trial in found.trials}
    if len(found.trials) < _MINIMUM_TRIALS or len(values) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(found, evaluator=evaluator))


def _space(study: Study) -> dict[str, Any]:
    return OptunaSearch.convert_search_space(study.fields)


def _dimension(name: str, distribution: Any) -> Dimension:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return Dimension(name, tuple(distribution.choices))
    return Dimension(name, (), distribution.low, distribution.high, distribution.log)
