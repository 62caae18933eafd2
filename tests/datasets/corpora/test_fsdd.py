from collections import Counter

import pytest

from rapport.datasets.corpora import fsdd
from rapport.datasets.splits import SplitConfig, assign_splits


@pytest.mark.parametrize(("name", "speaker", "text"), [("0_jackson_0", "jackson", "zero"), ("9_nicolas_49", "nicolas", "nine")])
def test_a_name_tells_digit_and_speaker(tmp_path, name, speaker, text):
    (tmp_path / f"{name}.wav").touch()
    (row,) = fsdd.scan(str(tmp_path), fsdd.Options()).rows
    assert (row.utterance_id, row.speaker_id, row.text, row.emotion) == (f"fsdd/{name}", f"fsdd/{speaker}", text, None)


def test_an_odd_name_is_rejected_and_the_rest_goes_on(tmp_path):
    for name in ("7_jackson_32", "jackson", "17_jackson_3"):
        (tmp_path / f"{name}.wav").touch()
    scan = fsdd.scan(str(tmp_path), fsdd.Options())
    assert len(scan.rows) == 1
    assert [r.reason for r in scan.rejected] == ["name", "name"]


def test_the_real_part_is_split_as_published(shared_data):
    rows = fsdd.scan(str(shared_data / "fsdd"), fsdd.Options()).rows
    assert Counter((r.speaker_id, r.text) for r in rows) == {(f"fsdd/{s}", w): 50 for s in ("jackson", "nicolas") for w in fsdd.WORDS}
    split = assign_splits(rows, SplitConfig(method="published"))
    assert Counter((r.split, r.speaker_id, r.text) for r in split if r.split == "test") == {
        ("test", f"fsdd/{s}", w): 5 for s in ("jackson", "nicolas") for w in fsdd.WORDS
    }
