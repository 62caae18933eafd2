"""Where an agent's run, its body and the agent itself lie, and which settings may change when a run is continued.

<storage>/runs/train_agent/<name>/               the learning: best/, last/, checkpoints/, curves
<storage>/runs/train_agent/bodies/<task>-<key>/  one body, whichever runs share it, with its trainings
<storage>/models/spolacq/<name>/                 the agent: body/, policy/, world.json, metrics.json, README.md
"""

from rapport.core import storage
from rapport.ray_jobs.training_runs.run_folder import absolute

BODY, POLICY = "body", "policy"

FREE = (
    "storage",
    "fresh",
    "hosts",
    "workers",
    "tracking",
    "services.cache",
    "data.workers",
    "data.chunk_",
    "learning.threads",
    "learning.sample_timeout_s",
)
"""Beginnings of settings that change neither weights nor figures."""


def run_folder(root: str, name: str) -> str:
    """`<storage>/runs/train_agent/<name>`, absolute."""
    return storage.join(absolute(root), "runs", "train_agent", name)


def body_folder(root: str, task: str, key: str) -> str:
    """Of the body with this key."""
    return storage.join(absolute(root), "runs", "train_agent", "bodies", f"{task}-{key}")


def agent_folder(root: str, name: str) -> str:
    """`<storage>/models/spolacq/<name>`, absolute."""
    return storage.join(absolute(root), "models", "spolacq", name)
