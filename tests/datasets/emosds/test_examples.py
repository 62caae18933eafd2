import json

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.emosds import examples as stored
from rapport.datasets.emosds.build import asr_examples, dialogue_examples, emotion_examples
from tests.toy_emosds import EMOTIONS, esd_rows, librispeech_rows, scenarios


@pytest.fixture
def everything():
    rows = esd_rows(3, 2)
    return [*asr_examples(librispeech_rows(2)), *emotion_examples(rows, EMOTIONS), *dialogue_examples(rows, scenarios(2), EMOTIONS)[0]]


def test_examples_come_back_as_they_were(everything):
    assert stored.from_table(stored.to_table(everything)) == everything


def test_a_build_is_read_by_stage_and_side(tmp_path, everything):
    folder = str(tmp_path / "features" / "emosds" / "toy" / "abc")
    counts = stored.write_examples(folder, everything)
    with pytest.raises(RapportError, match="was not finished"):
        stored.read_examples(folder, 2, "train")
    storage.finish(folder, {"kind": stored.KIND, "counts": counts})
    assert stored.find_examples(str(tmp_path), "toy") == folder
    for stage in (1, 2, 3):
        for split in ("train", "validation", "test"):
            wanted = [e for e in everything if (e.stage, e.split) == (stage, split)]
            assert stored.read_examples(folder, stage, split) == wanted
            assert counts.get(str(stage), {}).get(split, 0) == len(wanted)


def test_other_folders_are_refused(tmp_path):
    storage.finish(str(tmp_path), {"kind": "units"})
    with pytest.raises(RapportError, match="wanted a folder that build_emosds wrote"):
        stored.read_examples(str(tmp_path), 1, "train")
    with pytest.raises(RapportError, match="build_emosds --name absent"):
        stored.find_examples(str(tmp_path), "absent")


def test_lines_have_the_published_keys(tmp_path, everything):
    path = str(tmp_path / "lines.jsonl")
    count = stored.export_jsonl(path, everything, lambda e: (f"é {e.utterance_id} ", e.text), lambda e: (5, f"/r/{e.utterance_id}.npy"))
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text("utf-8").splitlines()]
    assert count == len(lines) == len(everything)
    keys = {1: {"prefix", "plain_text"}, 2: {"prefix", "plain_text", "residual_length", "residual_path"}}
    keys[3] = keys[2] | {"dialogue_id"}
    assert all(set(line) == keys[example.stage] for line, example in zip(lines, everything, strict=True))
    assert "é" in (tmp_path / "lines.jsonl").read_text("utf-8")
    assert {line.get("dialogue_id") for line in lines} == {None, "0_0", "0_1", "1_0", "1_1"}
