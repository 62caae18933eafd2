"""The made LibriSpeech keeps readers and sentences of its subsets apart."""

from collections import Counter, defaultdict

from rapport.datasets.corpora import librispeech as corpus
from rapport.datasets.splits import leak_report, side_of_sentence
from rapport.datasets.synthetic.layouts import librispeech
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak


def write(folder, request):
    """The first clip of every chapter as made, which brings the transcript; the others empty."""
    studio = Studio(espeak.load(), request.seed)
    for clip in librispeech.plan(request):
        files = {clip.path: b""} if clip.number % librispeech.PER_CHAPTER else librispeech.render(clip, studio)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return corpus.scan(str(folder), corpus.Options())


def test_the_whole_is_as_large_as_the_published_clean_subsets() -> None:
    clips = librispeech.plan(Request())
    assert len(clips) == 331 * 114
    assert Counter(c.path.split("/")[0] for c in clips) == {"train-clean-100": 265 * 114, "dev-clean": 33 * 114, "test-clean": 33 * 114}
    assert clips[0].path == "train-clean-100/101/1001/101-1001-0000.flac"


def test_the_loader_finds_words_genders_and_a_split_without_leaks(tmp_path) -> None:
    scan = write(tmp_path, Request(10, 45))
    assert not scan.rejected
    assert len(scan.rows) == 450
    assert Counter(r.split for r in scan.rows) == {"train": 360, "validation": 45, "test": 45}
    assert leak_report(scan.rows, fixed_sentences=False)["clean"]
    assert Counter(r.gender for r in scan.rows) == {"female": 225, "male": 225}
    assert all(r.text == r.text.upper() and "." not in r.text for r in scan.rows)
    assert len({r.text for r in scan.rows}) > 440


def test_sentences_lie_on_the_side_that_every_other_corpus_gives_them(tmp_path) -> None:
    rows = write(tmp_path, Request(10, 8)).rows
    by_side = defaultdict(set)
    for row in rows:
        by_side[row.split].add(side_of_sentence(row.text, 0.1, 0.2))
    assert dict(by_side) == {"train": {"train"}, "validation": {"validation"}, "test": {"test"}}


def test_fewer_than_ten_readers_all_train() -> None:
    assert {c.side for c in librispeech.plan(Request(9, 2))} == {"train"}
