"""What every layout of the embedded corpus maker must do. A new file in datasets/synthetic/layouts is covered the day it lands."""

import io
from pathlib import Path, PurePosixPath

import pytest
import soundfile

from rapport.core import plugins
from rapport.core.audio import load_speech
from rapport.core.errors import RapportError
from rapport.datasets.synthetic.maker import LAYOUTS
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak

SMALL = Request(speakers=2, utterances=9, seed=4)
pytestmark = pytest.mark.parametrize("name", plugins.available(LAYOUTS))


def studio(seed: int = SMALL.seed) -> Studio:
    return Studio(espeak.load(), seed)


def test_a_plan_is_the_same_again_and_names_each_file_once(name: str) -> None:
    layout = plugins.load(LAYOUTS, name)
    items = layout.plan(SMALL)
    paths = [item.path for item in items]
    assert items == layout.plan(SMALL)
    assert len(set(paths)) == len(paths) >= 9
    assert all(path == PurePosixPath(path).as_posix() and not path.startswith(("/", "..")) for path in paths)


def test_a_file_depends_on_the_seed_and_its_own_name_alone(name: str) -> None:
    layout = plugins.load(LAYOUTS, name)
    first, *_, last = layout.plan(SMALL)
    busy = studio()
    layout.render(first, busy)
    assert layout.render(last, busy) == layout.render(last, studio())
    assert layout.render(last, studio(seed=5)) != layout.render(last, studio())


def test_audio_is_16_khz_and_usable(name: str) -> None:
    layout = plugins.load(LAYOUTS, name)
    for item in layout.plan(SMALL)[::3]:
        files = layout.render(item, studio())
        for data in (data for path, data in files.items() if path.endswith((".wav", ".flac"))):
            info = soundfile.info(io.BytesIO(data))
            assert (info.samplerate, info.subtype) == (16_000, "PCM_16")
        assert soundfile.info(io.BytesIO(files[item.path])).channels == 1, "only what lies beside an item may have more"
        assert load_speech(files[item.path]).duration_s > 0.5


def test_the_loader_of_the_published_corpus_reads_it(name: str, tmp_path: Path) -> None:
    layout = plugins.load(LAYOUTS, name)
    items = layout.plan(SMALL)
    for item in items:
        for path, data in layout.render(item, studio()).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
    corpus = plugins.load("datasets.corpora", name)
    found = corpus.scan(str(tmp_path), corpus.Options())
    assert found.rows
    assert not found.rejected
    assert not found.duplicates
    assert len(found.rows) + sum(found.left_out.values()) == len(items)


@pytest.mark.parametrize("impossible", [Request(speakers=100_000), Request(utterances=100_000)])
def test_sizes_beyond_the_layout_are_refused(name: str, impossible: Request) -> None:
    with pytest.raises(RapportError, match=r"--(speakers|utterances) 100000: this layout takes 1 to \d+"):
        plugins.load(LAYOUTS, name).plan(impossible)
