"""Predict how long a job takes on a cluster and what it costs, from what it took here.

    python -m rapport.ray_jobs.predict_scale --measured ~/rapport/runs/scale/measured.json
    python -m rapport.ray_jobs.predict_scale --hours 1000 --nodes 16 --price 0.384
    python -m rapport.ray_jobs.predict_scale --check --clips 500               # measure first: 1, 4 and 16 times as much

A job is taken for a part that every processor shares and a part that one process does alone: scanning names before, writing tables after.
`--check` fits both to runs on this computer, tells how far each run is from the line, and how memory grew; do that on a quiet one.
docs/scale.md tells what the prediction leaves out.
"""

import sys
from typing import Any, Literal

from pydantic import Field

from rapport.core import storage
from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.ray_jobs.runtime import job
from rapport.ray_jobs.scaling import Check, Cost, Machine, fit, predict


class PredictScaleConfig(JobConfig):
    """What to predict, and from what."""

    measured: str = ""
    """File of measured costs, as --check writes it; by default <storage>/runs/scale/measured.json."""
    hours: tuple[float, ...] = (1, 10, 100, 1_000, 10_000, 100_000)
    """Hours of audio."""
    nodes: tuple[int, ...] = (1, 4, 16, 64, 256, 1_000)
    """Machines."""
    processors: int = Field(default=16, ge=1)
    """Processors of each machine."""
    price: float = Field(default=0.0, ge=0)
    """What a machine costs an hour, in any currency."""
    start_s: float = Field(default=300.0, ge=0)
    """From asking for machines to their first work, which is paid for."""
    check: bool = False
    """Measure first: jobs on a made corpus at 1, 4 and 16 times its size, and fit."""
    jobs: tuple[Literal["prepare_corpus", "train_ser"], ...] = ("prepare_corpus", "train_ser")
    """Which jobs are measured."""
    clips: int = Field(default=200, ge=10)
    """Clips of the smallest corpus that is measured."""
    clip_s: float = Field(default=3.0, gt=0)
    """Length of each of them."""


def run(config: PredictScaleConfig) -> dict[str, Any]:
    """A line for every amount of audio and number of machines, and with `check` what was measured."""
    path = config.measured or storage.join(config.storage, "runs", "scale", "measured.json")
    checked = {}
    if config.check:
        from rapport.ray_jobs.scale_check import measure

        work = measure(config.clips, config.clip_s, config.jobs)
        fitted = {name: fit(runs) for name, runs in work.items()}
        checked = {name: Check.of(fitted[name], runs) for name, runs in work.items()}
        told: dict[str, Any] = {name: cost.to_json() for name, cost in fitted.items()}
        storage.write_json(path, {**told, "runs": {name: [w.to_json() for w in runs] for name, runs in work.items()}})
        for name, check in checked.items():
            off = f"time off the line by {check.time_off:.1%} at most, peak memory grew by {check.memory_growth:.1%}"
            print(f"{name}: {off}", file=sys.stderr, flush=True)
    if not storage.exists(path):
        raise RapportError(f"nothing was measured yet: {path} is not there; run with --check on a quiet computer, or set --measured")
    costs = {name: Cost.from_json(told) for name, told in storage.read_json(path).items() if name != "runs"}
    machine = Machine(config.processors, config.price, config.start_s)
    lines = [
        {"job": name, "hours": hours, "nodes": nodes, **predict(cost, hours, nodes, machine)}
        for name, cost in costs.items()
        for hours in config.hours
        for nodes in config.nodes
    ]
    for line in lines:
        text = f"{line['job']:>16} {line['hours']:>9,g} h on {line['nodes']:>5,} machines: {line['seconds'] / 3600:10.2f} h"
        print(f"{text}, {line['cost']:12,.2f}" if config.price else text, file=sys.stderr)
    return {"measured": path, "predictions": lines, "checked": {name: check.to_json() for name, check in checked.items()}}


if __name__ == "__main__":
    job(PredictScaleConfig, run)
