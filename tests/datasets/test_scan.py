import pytest

from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.scan import LeaveOut, Reject, audio_files, relative, scan_files, stem


def parse(path):
    if "odd" in path:
        raise Reject("name", f"{path} is odd")
    if "song" in path:
        raise LeaveOut("song")
    return Utterance(f"mine/{path}", "mine", path)


def test_every_file_is_a_row_a_rejection_a_duplicate_or_counted_as_left_out():
    scan = scan_files("/r", ["/r/b.wav", "/r/a.wav", "/r/deep/a.WAV", "/r/odd.wav", "/r/song.wav", "/r/song2.wav"], parse, wanted="x")
    assert [r.audio_path for r in scan.rows] == ["/r/a.wav", "/r/b.wav"]
    assert [(r.path, r.reason) for r in scan.rejected] == [("/r/odd.wav", "name")]
    assert [(d.path, d.kept) for d in scan.duplicates] == [("/r/deep/a.WAV", "/r/a.wav")]
    assert scan.left_out == {"song": 2}


def test_the_outcome_does_not_depend_on_the_order_of_files():
    paths = [f"/r/{folder}{name}.wav" for folder in ("", "x/", "x/y/") for name in ("a", "odd", "b")]
    assert scan_files("/r", paths, parse, wanted="x") == scan_files("/r", paths[::-1], parse, wanted="x")


def test_when_nothing_can_be_used_the_error_tells_what_was_there_and_what_was_wanted():
    with pytest.raises(RapportError, match=r"1 files that do not fit, the first: /r/odd.wav is odd; 1 left out .* as song. Wanted names"):
        scan_files("/r", ["/r/odd.wav", "/r/song.wav"], parse, wanted="names")


def test_audio_is_found_by_suffix_in_any_case(tmp_path):
    for name in ("a.WAV", "b/c.Flac", "._a.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [relative(str(tmp_path), p) for p in audio_files(str(tmp_path))] == ["a.WAV", "b/c.Flac"]
    assert [relative(f"file://{tmp_path}/", p) for p in audio_files(f"file://{tmp_path}/")] == ["a.WAV", "b/c.Flac"]


def test_a_stem_is_the_name_without_its_suffix():
    assert stem("s3://bucket/a.b/c.d.wav") == "c.d"
