"""The job makes conversations from its command line and tells where they are."""

import json
from pathlib import Path

import pytest

from rapport.datasets.conversations.corpora import meld
from rapport.ray_jobs.make_conversations import MakeConversationsConfig, run
from rapport.ray_jobs.runtime import job


def test_one_command_makes_conversations_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--dramas.train", "50", "--dramas.validation", "4", "--dramas.test", "4"]
    for _ in range(2):
        job(MakeConversationsConfig, run, ["--config", "meld", "--storage", str(tmp_path), *sizes])
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["folder"] == str(tmp_path / "conversations" / "made-meld")
    assert result["dialogues"] == {"train": 50, "validation": 4, "test": 4}
    assert result["bounds"]["best_with_clues"] > result["bounds"]["best_without_clues"] + 0.3
    found = meld.read(result["folder"])
    assert {split: side["lines"] for split, side in found.counts().items()} == result["lines"]
