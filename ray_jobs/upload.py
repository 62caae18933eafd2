"""What `ray job submit --working-dir` sends to the cluster: Ray's own rules, asked of Ray's own code."""

import logging
from pathlib import Path

MAX_UPLOAD_BYTES = 500 * 2**20
"""Ray refuses larger packages (GCS_STORAGE_MAX_SIZE)."""


def uploaded_files(root: Path) -> list[tuple[Path, int]]:
    """(path, bytes) of the files below `root` that a job takes along, after `.gitignore`, `.rayignore` and Ray's own exclusions."""
    # Ray has no public way to ask; the lock file pins the version that this was read from, and a test watches it.
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    found: list[tuple[Path, int]] = []

    def note(path: Path) -> None:
        if path.is_file():
            found.append((path, path.stat().st_size))

    excludes = [_get_excludes(root, get_runtime_env_default_excludes())]
    _dir_travel(root.absolute(), excludes, note, include_gitignore=True, logger=logging.getLogger("rapport.upload"))
    return found
