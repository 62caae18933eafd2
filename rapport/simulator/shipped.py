"""Where the tasks and prompts lie that come with Rapport."""

from pathlib import Path

TASKS = Path(__file__).resolve().parents[1] / "datasets" / "tasks"
if not TASKS.is_dir():  # a checkout, where the rooms lie beside the package
    TASKS = Path(__file__).resolve().parents[2] / "datasets" / "tasks"
