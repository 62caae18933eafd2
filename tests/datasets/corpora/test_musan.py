from collections import Counter

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora import musan

PUBLISHED = (
    "noise/free-sound/noise-free-sound-0000.wav",
    "noise/sound-bible/noise-sound-bible-0000.wav",
    "music/fma/music-fma-0000.wav",
    "speech/librivox/speech-librivox-0000.wav",
)


def scan_of(tmp_path, *names, root=".", **options):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return musan.scan(str(tmp_path / root), musan.Options(**options))


def test_the_published_nested_layout_is_read_by_category(tmp_path):
    everything = scan_of(tmp_path, *PUBLISHED, "noise/free-sound/ANNOTATIONS", categories=("noise", "music", "speech"))
    assert Counter(r.emotion_raw for r in everything.rows) == {"noise": 2, "music": 1, "speech": 1}
    assert everything.rows[0].utterance_id == "musan/music-fma-0000"
    noise = scan_of(tmp_path)
    assert {r.emotion_raw for r in noise.rows} == {"noise"}
    assert noise.left_out == {"music": 1, "speech": 1}


@pytest.mark.parametrize("name", ["noise/a.wav", "noise/x/y/a.FLAC", "noise/a.mp3", "noise/a.ogg"])
def test_any_depth_and_the_four_formats_are_read(tmp_path, name):
    (row,) = scan_of(tmp_path, name).rows
    assert row.utterance_id == f"musan/{name}"
    assert (row.emotion, row.speaker_id, row.text) == (None, None, None)


def test_flat_copies_take_the_category_from_the_published_name(tmp_path):
    scan = scan_of(tmp_path, "noise-free-sound-0001.wav", "music-hd-classical-0003.wav")
    assert [r.utterance_id for r in scan.rows] == ["musan/noise-free-sound-0001"]
    assert scan.left_out == {"music": 1}


def test_the_root_may_be_one_category(tmp_path):
    assert scan_of(tmp_path, "music/fma/tune.wav", root="music", categories=("music",)).rows[0].emotion_raw == "music"


def test_other_peoples_noises_are_noise_unless_that_is_switched_off(tmp_path):
    assert scan_of(tmp_path, "kitchen/pan.wav", "street/pan.wav").rows[0].emotion_raw == "noise"
    with pytest.raises(RapportError, match="other_category"):
        scan_of(tmp_path, other_category=None)


def test_equal_base_names_are_copies_only_when_they_are_published_names(tmp_path):
    scan = scan_of(tmp_path, PUBLISHED[0], f"musan/{PUBLISHED[0]}", "noise/kitchen/pan.wav", "noise/street/pan.wav")
    assert len(scan.rows) == 3
    assert len(scan.duplicates) == 1


def test_the_real_noises_are_found_in_their_nested_folders(shared_data):
    scan = musan.scan(str(shared_data / "musan"), musan.Options())
    assert len(scan.rows) == 12
    assert not scan.rejected
