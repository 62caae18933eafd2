"""Which code made a result."""

import os
import subprocess
from functools import cache
from pathlib import Path

from rapport import __version__

_ROOT = Path(__file__).resolve().parents[1]


@cache
def revision() -> str:
    """The git revision of this code, with `-dirty` when files were changed since; `RAPPORT_REVISION` or the version without a repository.

    A job that was submitted to a cluster runs from an upload that holds no repository: set the variable to know the revision there.
    """
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = ""
    return found or os.environ.get("RAPPORT_REVISION") or __version__
