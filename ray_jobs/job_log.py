"""What a job tells on stderr: plain lines, or with `RAPPORT_LOG=json` one JSON object each, for what collects the logs of many machines.

{"time": "2026-11-22T15:00:00.120Z", "level": "info", "job": "train_ser", "run": "3f0c...", "ray_job": "raysubmit_...", "message": "..."}
"""

import io
import json
import os
import re
import shlex
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

_FORMAT, _RUN = "RAPPORT_LOG", "RAPPORT_RUN_ID"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class JsonLines(io.TextIOBase):
    """A stream that writes each line it is given to another as a JSON object, with the ids of who says it."""

    def __init__(self, stream: TextIO, ids: dict[str, str]) -> None:
        self._stream, self._ids, self._open = stream, ids, ""

    def write(self, text: str) -> int:
        """Take any piece of text; what it finishes is written."""
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._tell(line)
        return len(text)

    def flush(self) -> None:
        """Hand on what is written; a line that is not finished waits."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Never: bars and colours are for people."""
        return False

    def fileno(self) -> int:
        """The stream's own, for crash handlers."""
        return self._stream.fileno()

    def finish(self) -> None:
        """Write what is left, finished or not."""
        self._tell(self._open)
        self._open = ""
        self.flush()

    def _tell(self, line: str) -> None:
        # Of a line that overwrites itself, the last state.
        message = _ESCAPES.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip()
        if message:
            time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            record = {"time": time, "level": _level(message), **self._ids, "message": message}
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def open_log(job: str) -> JsonLines | None:
    """Make stderr what `RAPPORT_LOG` asks for; gives the stream to finish, or None where lines stay plain.

    Processes that this one starts inherit its run id (`RAPPORT_RUN_ID`).
    """
    ids = {"job": job, "run": os.environ.setdefault(_RUN, uuid.uuid4().hex[:12])}
    if submission := submission_id():
        ids["ray_job"] = submission
    if os.environ.get(_FORMAT, "").lower() != "json":
        return None
    log = JsonLines(sys.stderr, ids)
    sys.stderr = log
    return log


def submission_id() -> str | None:
    """By what name the cluster knows this job; None where it was not submitted to one."""
    # Ray gives a submitted entry point the configuration of its job this way.
    told = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    found = (told.get("metadata") or {}).get("job_submission_id")
    return str(found) if found else None


def again(job: str, arguments: Sequence[str]) -> str:
    """The command line that goes on where this job stopped."""
    command = shlex.join(["python", "-m", f"rapport.ray_jobs.{job}", *arguments])
    return f"ray job submit --working-dir . -- {command}" if submission_id() else command


def _level(message: str) -> str:
    if message.startswith(("error:", "Traceback ")):
        return "error"
    return "warning" if message.lower().startswith("warning") else "info"
