"""Compare runs: one table of what was trained and evaluated, with settings, code revision and figures.

    python -m rapport.ray_jobs.compare_runs                            # every training, best UAR first
    python -m rapport.ray_jobs.compare_runs --job evaluate_ser --only first*,second*
    python -m rapport.ray_jobs.compare_runs --changed                  # the settings that differ between them, too

Runs whose settings differ in name and seed alone have the same config hash, and their mean is told. The table is printed, and lies as
index.html, runs.csv and runs.json in <storage>/reports/<job>/.
"""

import sys
from typing import Any, Literal

from pydantic import Field

from rapport.core.config import JobConfig
from rapport.ray_jobs.runtime import job


class CompareRunsConfig(JobConfig):
    """Which runs to compare."""

    job: Literal["train_ser", "evaluate_ser"] = "train_ser"
    """The job whose runs are compared."""
    only: str = "*"
    """Names of runs, with * for anything, separated by commas."""
    sort_by: Literal["uar", "wa", "macro_f1", "validation_uar", "name", "finished"] = "uar"
    """Column to sort by; figures with the best first. Choose between trainings by validation_uar, so that test clips stay unseen."""
    changed: bool = False
    """Also print the settings that differ between the runs; the page always shows them."""
    max_rows: int = Field(default=200, ge=1)
    """Rows to print."""


def run(config: CompareRunsConfig) -> dict[str, Any]:
    """The folder of the table, how many runs it holds, and the best of them."""
    from rapport.core import storage
    from rapport.ray_jobs.reports.results_table import (
        as_csv,
        changed_settings,
        collect_runs,
        means_of_repeats,
        print_table,
        results_page,
        sort_runs,
    )

    root = config.storage if "://" in config.storage else storage.resolve(config.storage)[1]
    runs = sort_runs(collect_runs(storage.join(root, "runs", config.job), config.only.split(",")), config.sort_by)
    changed, means = changed_settings(runs), means_of_repeats(runs)
    print_table(runs[: config.max_rows], changed if config.changed else (), means, sys.stderr)
    folder = storage.join(root, "reports", config.job)
    page = results_page(runs, changed, means, title=f"Runs of {config.job}")
    storage.write_bytes(storage.join(folder, "index.html"), page.encode())
    storage.write_bytes(storage.join(folder, "runs.csv"), as_csv(runs, changed).encode())
    rows = [run.as_json() for run in runs]
    storage.write_json(storage.join(folder, "runs.json"), rows)
    return {"folder": folder, "page": storage.join(folder, "index.html"), "runs": len(runs), "first": rows[0]}


if __name__ == "__main__":
    job(CompareRunsConfig, run)
