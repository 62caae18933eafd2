import io
import json
import os
import subprocess
import sys
from pathlib import Path

from rapport.ray_jobs.job_log import JsonLines


def test_every_line_is_an_object_with_the_ids_however_it_was_written() -> None:
    stream = io.StringIO()
    log = JsonLines(stream, {"job": "toy", "run": "1"})
    for piece in ("decoding: 1 of 2\rdecoding: ", "2 of 2\n\n", "\x1b[31merror: no such file\x1b[0m\n", "WARNING: old\n", "half"):
        log.write(piece)
    log.finish()
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(r["level"], r["message"]) for r in records] == [
        ("info", "decoding: 2 of 2"),
        ("error", "error: no such file"),
        ("warning", "WARNING: old"),
        ("info", "half"),
    ]
    assert all((r["job"], r["run"]) == ("toy", "1") and r["time"].endswith("Z") for r in records)


def test_a_job_tells_in_json_when_asked_and_its_result_stays_the_last_line_of_stdout(repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "RAPPORT_LOG": "json", "RAPPORT_RUN_ID": "mine"}
    command = [sys.executable, "-m", "rapport.ray_jobs.prepare_corpus", "--corpus.root", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert {(r["job"], r["run"]) for r in records} == {("prepare_corpus", "mine")}
    assert [r["level"] for r in records] == ["error", "info"]
    assert records[-1]["message"] == f"to go on: python -m rapport.ray_jobs.prepare_corpus --corpus.root {tmp_path}"
