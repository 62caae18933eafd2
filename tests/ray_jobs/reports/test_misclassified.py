import io
import re

import numpy as np
import pytest
import soundfile

from rapport.ray_jobs.reports.misclassified import Mistake, clip_name, write_misclassified


def mistake(name, certainty, target="happy", prediction="sad"):
    rest = (1 - certainty) / 2
    return Mistake(name, "ravdess", "ravdess/01", target, prediction, {prediction: certainty, target: rest, "neutral": rest})


@pytest.fixture
def written(tmp_path):
    mistakes = [mistake("ravdess/a<b>", 0.5), mistake("ravdess/c", 0.9), mistake("ravdess/d", 0.7, "angry")]
    asked = []

    def waveform(name):
        asked.append(name)
        return np.linspace(-0.5, 0.5, 8000 + len(asked), dtype=np.float32)

    result = write_misclassified(str(tmp_path / "wrong"), mistakes, waveform, clips=10, max_clips=2)
    return tmp_path / "wrong", result, asked


def test_the_most_confident_mistakes_are_kept_as_unpadded_wav_files(written):
    folder, result, asked = written
    assert asked == ["ravdess/c", "ravdess/d"]
    assert (result["mistakes"], result["kept"]) == (3, 2)
    samples, rate_hz = soundfile.read(io.BytesIO((folder / "clips" / "ravdess__c.wav").read_bytes()))
    assert (len(samples), rate_hz) == (8001, 16000)
    assert sorted(p.name for p in (folder / "clips").iterdir()) == ["ravdess__c.wav", "ravdess__d.wav"]


def test_page_plays_each_kept_clip_and_counts_all_mistakes(written):
    folder, _, _ = written
    page = (folder / "index.html").read_text()
    sources = re.findall(r'<audio[^>]* src="([^"]+)"', page)
    assert sources == ["clips/ravdess__c.wav", "clips/ravdess__d.wav"]
    assert all((folder / source).is_file() for source in sources)
    assert "3 of 10 clips" in page
    assert "90 %" in page
    assert not re.search(r"https?://", page)


def test_names_of_clips_are_escaped(tmp_path):
    write_misclassified(str(tmp_path), [mistake("c/<script>", 0.9)], lambda _: np.zeros(160, np.float32), clips=1)
    assert "c/<script>" not in (tmp_path / "index.html").read_text()


def test_no_mistakes_make_a_page_that_says_so(tmp_path):
    result = write_misclassified(str(tmp_path), [], lambda _: np.zeros(1), clips=4)
    assert result["kept"] == 0
    assert "Nothing to listen to" in (tmp_path / "index.html").read_text()


def test_file_names_are_safe_and_different_for_different_clips():
    ids = ["ravdess/Actor_01/03-01", "ravdess__Actor_01/03-01", "c/ä b", "c/ä_b", "../../etc/passwd", "c/" + "x" * 300, "c/" + "x" * 301]
    names = [clip_name(i) for i in ids]
    assert names[0] == "ravdess__Actor_01__03-01.wav"
    assert len(set(names)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{5,140}", n) and not n.startswith(".") for n in names)
