"""The front page of an evaluation: figures with their intervals, confusion, calibration, and links to everything else."""

from collections.abc import Mapping
from typing import Any

from rapport.ray_jobs.reports.page import render


def evaluation_page(
    metrics: Mapping[str, Any],
    *,
    title: str,
    split: str,
    files: Mapping[str, str],
    facts: Mapping[str, Any],
    per_snr: Mapping[str, Any] | None = None,
    noise: str = "",
    film: str | None = None,
) -> str:
    """A self-contained HTML page on the result of `classification_metrics`.

    `files` are links (name to relative path), `facts` go into the footer, `per_snr` holds further such results by signal-to-noise ratio
    in dB, made with the noise corpus `noise`, and `film` is the relative path of the confusion animation.
    """
    return render(
        "evaluation.html", metrics=metrics, title=title, split=split, files=files, facts=facts, per_snr=per_snr, noise=noise, film=film
    )
