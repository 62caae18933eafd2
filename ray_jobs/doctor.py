"""What is missing on this machine, or on every machine of a cluster, and what to do about it.

    python -m rapport.ray_jobs.doctor                                          # this machine
    ray job submit --working-dir . -- python -m rapport.ray_jobs.doctor        # every machine of the cluster, and its storage

Prints a table, then one JSON object; ends with status 1 when something that is needed is missing.
"""

import os
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rapport.core import storage
from rapport.core.config import JobConfig
from rapport.ray_jobs.checks import Finding, look, storage_shared, storage_writable, submitter_checks, worker_checks
from rapport.ray_jobs.runtime import job, start_ray

_SIGNS = {"ok": "[green]✓[/]", "note": "[yellow]•[/]", "missing": "[red]✗[/]"}


class DoctorConfig(JobConfig):
    """What is missing on this machine, or on every machine of a cluster."""

    working_dir: str = "."
    """The folder that would be sent with a job."""


def run(config: DoctorConfig) -> dict[str, Any]:
    """`ok`, and every finding."""
    if os.environ.get("RAY_ADDRESS"):
        findings = _on_every_node(config.storage)
    else:
        findings = look("here", {**submitter_checks(Path(config.working_dir)), **worker_checks(config.storage)})
    _show(findings)
    return {"ok": not any(f.state == "missing" for f in findings), "findings": [asdict(f) for f in findings]}


def _on_every_node(storage_root: str) -> list[Finding]:
    """The findings of each machine of the cluster, in one task on each."""
    driver = look("driver", {"storage": lambda: storage_writable(storage_root)})
    if any(f.state == "missing" for f in driver):
        return driver
    marker = storage.join(storage_root, f".doctor-shared-{uuid.uuid4().hex}")
    storage.write_bytes(marker, b"rapport")
    try:
        with start_ray():
            import ray
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            @ray.remote(num_cpus=0)
            def examine(machine: str) -> list[Finding]:
                return look(machine, {**worker_checks(storage_root), "shared storage": lambda: storage_shared(marker)})

            tasks = [
                examine.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                    # Without a GPU of its own a task sees none: ask for a sliver where there are some.
                    num_gpus=0.01 if node["Resources"].get("GPU") else 0,
                ).remote(node["NodeManagerAddress"])
                for node in ray.nodes()
                if node["Alive"]
            ]
            return [finding for findings in ray.get(tasks) for finding in findings]
    finally:
        file_system, inner = storage.resolve(marker)
        file_system.delete_file(inner)


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), show_header=False)
    for finding in findings:
        table.add_row(_SIGNS[finding.state], escape(finding.machine), finding.check, escape(finding.found))
    console = Console(file=sys.stderr, width=None if sys.stderr.isatty() else 160)
    console.print(table)
    missing = sum(f.state == "missing" for f in findings)
    console.print(f"{missing} missing, see ✗ above" if missing else "Nothing that is needed is missing.")


if __name__ == "__main__":
    job(DoctorConfig, run)
