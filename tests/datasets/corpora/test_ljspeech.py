from collections import Counter

from rapport.datasets.corpora import ljspeech

TABLE = 'LJ001-0001|the "forty-two line Bible" of 1455,|the "forty-two line Bible" of fourteen fifty-five,\nLJ001-0002|"Open quote.|\n'


def scan_of(root, table=TABLE, names=("LJ001-0001", "LJ001-0002"), **options):
    (root / "wavs").mkdir()
    for name in names:
        (root / f"wavs/{name}.wav").touch()
    (root / "metadata.csv").write_text(table, encoding="utf-8")
    return ljspeech.scan(str(root), ljspeech.Options(**options))


def test_quotes_belong_to_the_text(tmp_path):
    rows = scan_of(tmp_path).rows
    assert [r.text for r in rows] == ['the "forty-two line Bible" of fourteen fifty-five,', '"Open quote.']
    assert {(r.speaker_id, r.gender) for r in rows} == {("ljspeech/LJ", "female")}


def test_the_text_as_printed_can_be_asked_for(tmp_path):
    assert scan_of(tmp_path, normalised=False).rows[0].text == 'the "forty-two line Bible" of 1455,'


def test_what_does_not_fit_is_named(tmp_path):
    scan = scan_of(tmp_path, table=TABLE + "LJ001-0003|a|b\nno line\n", names=("LJ001-0001", "LJ001-0002", "LJ001-0009", "other"))
    assert Counter(r.reason for r in scan.rejected) == {"no_audio": 1, "no_text": 1, "name": 1, "table_row": 1}


def test_the_real_part_is_read(shared_data):
    scan = ljspeech.scan(str(shared_data / "ljspeech"), ljspeech.Options())
    assert len(scan.rows) == 32
    assert not scan.rejected
    assert (scan.rows[6].text or "").endswith('or "forty-two line Bible" of about fourteen fifty-five,')
