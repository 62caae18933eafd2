"""Preparation gives the published layout, survives kills and bad services, and makes nothing twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rapport.core import storage
from rapport.core.audio import decode
from rapport.core.config import with_values
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.config import AgentDataConfig, published_config
from rapport.datasets.agent_data.layout import plan_clips, plan_pictures
from rapport.datasets.agent_data.pictures import read_picture
from rapport.datasets.agent_data.speech import RATE_HZ, read_clip
from rapport.datasets.agent_data.store import AgentData, open_agent_data
from rapport.models.spolacq.config import HearingConfig
from rapport.models.spolacq.speech_to_units import load_hearing
from rapport.ray_jobs.agent_data.prepare import data_items, prepare_agent_data, record_agent_data
from rapport.simulator.experiment import load_experiment
from rapport.simulator.requests import Failure
from tests.ray_jobs.agent_data.toy import Blacking, LevelUnits, Lines, fakes, make_task, real_services
from tests.simulator.published import load_published

# In this process, in chunks that are many; twice 3 + 3 pictures an item, 2 utterances each.
SMALL = with_values(
    AgentDataConfig(),
    {
        "pictures.train_per_folder": 3,
        "pictures.test_per_folder": 1,
        "pictures.height": 16,
        "pictures.width": 24,
        "speech.utterances": 2,
        "chunk_pictures": 5,
        "chunk_clips": 7,
        "workers": 0,
    },
)


def files(folder: str) -> dict[str, bytes]:
    """What lies in a folder, but for how the work was spread."""
    home = Path(folder)
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> AgentData:
    """Data with real pictures and speech."""
    root = tmp_path_factory.mktemp("real")
    task = make_task(root / "tasks")
    return prepare_agent_data(str(root), task, SMALL, real_services(task), LevelUnits, seed=3)


def test_layout_and_counts(prepared: AgentData) -> None:
    home = Path(prepared.folder) / "pretrain"
    assert len(list(home.glob("Image/*/train_number[123]/group[12]_[12].jpg"))) == 3 * 9
    assert len(list(home.glob("Image/*/test_number[123]/group1_1.jpg"))) == 3 * 3
    assert sorted(path.name for path in (home / "Audio/green_pepper").glob("*_1_1*.wav")) == [
        "green_pepper_1_1.wav",
        "green_pepper_1_10.wav",
        "green_pepper_1_11.wav",
    ]
    assert len(list(home.glob("Audio/*/*.wav"))) == 3 * 2 * (1 + 12)
    assert prepared.manifest["counts"] == {
        "pictures": {"test": 3, "train": 27, "val": 6},
        "clips": {"clean": 6, "test": 6, "train": 54, "val": 12},
    }
    assert prepared.items() == {3: "apple", 1: "green_pepper", 7: "lemon"}


def test_files_hold_what_they_should(prepared: AgentData) -> None:
    pictures = prepared.pictures("train")
    first = read_picture(pictures[0].path)
    assert (first.shape, first.dtype) == ((16, 24, 3), np.uint8)
    assert len({storage.read_bytes(picture.path) for picture in pictures}) == len(pictures)
    clean = next(clip for clip in prepared.clips("clean") if clip.item_id == 1 and clip.pattern == 1)
    assert clean.text == "give me green pepper"
    assert decode(clean.path)[1] == 22_050
    noisy = [clip for clip in prepared.clips("test") if clip.item_id == 1 and clip.pattern == 1]
    assert [clip.number for clip in noisy] == [11]
    speech, hissing = read_clip(clean.path), read_clip(noisy[0].path)
    noise = hissing - speech
    assert 10 * np.log10(np.sum(speech**2) / np.sum(noise**2)) == pytest.approx(30, abs=0.5)


def test_captions_are_units_of_the_clips_of_a_picture(prepared: AgentData) -> None:
    captions = prepared.captions("train")
    assert len(captions) == 27 * 2
    assert Counter(caption.pattern for caption in captions) == {0: 27, 1: 27}
    clip = prepared.clips("train")[0]
    np.testing.assert_array_equal(clip.units, LevelUnits().hear([read_clip(clip.path)], 22_050)[0])
    assert captions[0].units is not None


def test_units_can_be_learnt_from_what_was_recorded(tmp_path: Path) -> None:
    task = make_task(tmp_path / "tasks")
    recorded = record_agent_data(str(tmp_path), task, SMALL, real_services(task), seed=3)
    hearing = load_hearing(HearingConfig(clusters=8), (read_clip(clip.path) for clip in recorded.clips("train")), RATE_HZ)
    data = prepare_agent_data(str(tmp_path), task, SMALL, real_services(task), lambda: hearing, seed=3)
    assert data.folder == recorded.folder
    units = np.concatenate([caption.units for caption in data.captions("train")])
    assert set(units.tolist()) <= set(range(8))
    assert data.units_manifest is not None
    assert data.units_manifest["encoder"] == hearing.identity


def test_published_paths_are_those_of_the_folders(prepared: AgentData) -> None:
    images, audio = prepared.published_paths()
    home = Path(prepared.folder) / "pretrain"
    assert images["train"] == sorted(home.glob("Image/*/train_number[123]/*.jpg"))
    assert images["val"] == sorted(home.glob("Image/*/test_number[12]/*.jpg"))
    assert images["test"] == sorted(home.glob("Image/*/test_number3/*.jpg"))
    for side, offset, own in (("train", 0, 9), ("val", 9, 2), ("test", 11, 1)):
        wanted = [
            [home / "Audio" / image.parts[-3] / f"{image.parts[-3]}_{i}_{j % own + offset}.wav" for i in range(2)]
            for j, image in enumerate(images[side])
        ]
        assert audio[side] == wanted
        assert all(path.is_file() for paths in audio[side] for path in paths)


def test_data_is_found_by_name_and_by_folder(prepared: AgentData) -> None:
    root = str(Path(prepared.folder).parents[2])
    for found in (open_agent_data(root, "shop"), open_agent_data(root, prepared.folder)):
        assert (found.folder, found.units_folder) == (prepared.folder, prepared.units_folder)
    with pytest.raises(RapportError, match="no pretraining data of 'bar'"):
        open_agent_data(root, "bar")
    with pytest.raises(RapportError, match="wanted one of train, val, test"):
        prepared.pictures("validation")


def test_nothing_is_made_twice(tmp_path: Path) -> None:
    task, told = make_task(tmp_path / "tasks"), list[str]()
    pictures = Blacking()
    first = record_agent_data(str(tmp_path), task, SMALL, fakes(pictures), seed=0, tell=told.append)
    assert told == ["pictures: 36 to make, 0 there", "speech: 6 to make, 0 there", "noise: 72 to make, 0 there"]
    asked, before = pictures.asked, files(first.folder)
    with pytest.raises(RapportError, match="no units yet"):
        first.captions("train")
    again = prepare_agent_data(str(tmp_path), task, SMALL, fakes(pictures), LevelUnits, seed=0, tell=told.append)
    assert told[3:] == ["units: 78 to make, 0 there"]
    assert pictures.asked == asked
    assert {name: data for name, data in files(again.folder).items() if not name.startswith("units/")} == before
    # Other noise: the pictures and the clean speech are taken over.
    louder = record_agent_data(str(tmp_path), task, with_values(SMALL, {"speech.snr_db": 10.0}), fakes(pictures), seed=0, tell=told.append)
    assert told[4:] == ["pictures: 0 to make, 36 there", "speech: 0 to make, 6 there", "noise: 72 to make, 0 there"]
    assert louder.folder != first.folder
    assert pictures.asked == asked
    assert all(Path(picture.path).is_file() for picture in louder.pictures("train"))


def test_black_pictures_are_drawn_again(tmp_path: Path) -> None:
    task, pictures = make_task(tmp_path / "tasks"), Blacking()
    data = record_agent_data(str(tmp_path), task, SMALL, fakes(pictures), seed=0)
    assert pictures.asked > 36
    assert all(read_picture(picture.path).mean() >= 1 for side in ("train", "val", "test") for picture in data.pictures(side))


@pytest.mark.parametrize(("fail", "reason"), [(False, "black"), (True, "failed")])
def test_an_item_that_cannot_be_drawn_is_refused_and_redone_once_it_can(tmp_path: Path, fail: bool, reason: str) -> None:
    task, config = make_task(tmp_path / "tasks"), with_values(SMALL, {"pictures.attempts": 12})
    with pytest.raises(RapportError, match=f"12 {reason}.*max_quarantined_fraction 0.01.*Image/lemon/"):
        record_agent_data(str(tmp_path), task, config, fakes(Blacking(["lemon"], fail=fail)), seed=0)
    told: list[str] = []
    mended = record_agent_data(str(tmp_path), task, config, fakes(Blacking()), seed=0, tell=told.append)
    assert told[0] == "pictures: 16 to make, 20 there"  # the chunks in which a lemon is
    assert mended.manifest["quarantined"] == {}


def test_flat_pictures_are_blank_when_told_so(tmp_path: Path) -> None:
    config = with_values(SMALL, {"pictures.min_spread": 2.0})
    with pytest.raises(RapportError, match=r"\d+ blank.*pictures.min_spread is 2"):
        record_agent_data(str(tmp_path), make_task(tmp_path / "tasks"), config, fakes(), seed=0)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Failure("voice", "hoarse"), "failed"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(100, np.nan, np.float32), "not_finite"),
        (np.zeros(4_000, np.float32), "silent"),
    ],
)
def test_lines_that_cannot_be_spoken_are_left_out(tmp_path: Path, given: Failure | np.ndarray, reason: str) -> None:
    config = with_values(SMALL, {"max_quarantined_fraction": 0.2})
    services = fakes(voice=Lines({"give me lemon": given}))
    data = prepare_agent_data(str(tmp_path), make_task(tmp_path / "tasks"), config, services, LevelUnits, seed=0)
    assert data.manifest["quarantined"] == {reason: 1, "no_source": 12}
    quarantine = storage.read_table(storage.join(data.folder, "quarantine.parquet")).to_pylist()
    assert quarantine[0]["path"] == "pretrain/Audio/lemon/lemon_1.wav"
    # A published trainer wants as many clips for every picture: lemons are left out.
    images, audio = data.published_paths()
    assert {path.parts[-3] for path in images["train"]} == {"apple", "green_pepper"}
    assert {len(paths) for paths in audio["train"]} == {2}


def test_clips_without_units_are_left_out(tmp_path: Path) -> None:
    class Deaf(LevelUnits):
        def hear(self, clips, rate_hz=16_000):
            return [units[:0] for units in super().hear(clips, rate_hz)]

    with pytest.raises(RapportError, match="78 of 78 files cannot be used"):
        prepare_agent_data(str(tmp_path), make_task(tmp_path / "tasks"), SMALL, fakes(), Deaf, seed=0)


def test_a_task_without_patterns_cannot_be_pretrained_for(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match=r"utterance_patterns\.json"):
        record_agent_data(str(tmp_path), make_task(tmp_path / "tasks", patterns=False), SMALL, fakes(), seed=0)


@pytest.mark.parametrize(("name", "images", "clean", "noisy"), [("food_task", 2400, 100, 12_000), ("food_corner_task", 1200, 50, 6_000)])
def test_published_experiments_plan_the_published_volumes(shared_data: Path, name: str, images: int, clean: int, noisy: int) -> None:
    task = load_published(shared_data, name)
    experiment = load_experiment(shared_data / "spolacq" / "experiments" / f"{name}.yaml")
    config = published_config(experiment.raw["pretrain"])
    items = data_items(task)
    by_name = {item.name: item for item in task.scenario.items.values()}
    assert task.patterns is not None
    patterns = task.patterns
    pictures = plan_pictures(items, config)
    plain, hissing = plan_clips(pictures, items, lambda item, index: patterns.utterance(by_name[item], index), config)
    assert (len(pictures), len(plain), len(hissing)) == (images, clean, noisy)
    assert {clip.voice for clip in hissing} == {"af_heart"}


_CHILD = """
import sys
from pathlib import Path
from tests.ray_jobs.agent_data import test_prepare, toy
root = Path(sys.argv[1])
services = toy.fakes(toy.Slowly(toy.Blacking()), toy.Slowly(toy.Lines()))
test_prepare.prepare_agent_data(str(root), toy.make_task(root / "tasks"), test_prepare.SMALL, services, toy.LevelUnits, seed=0)
"""


@pytest.mark.parametrize("after", [7, 40, 100])
def test_a_killed_preparation_goes_on_and_gives_the_same_bytes(tmp_path: Path, after: int) -> None:
    whole = prepare_agent_data(str(tmp_path / "whole"), make_task(tmp_path / "tasks"), SMALL, fakes(), LevelUnits, seed=0)
    root = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(root)], cwd=Path(__file__).parents[3])
    deadline_s = time.monotonic() + 60
    while (
        sum(1 for _ in root.glob("agent_data/*/*/pretrain/*/*/**/*.[jw]*")) < after
        and child.poll() is None
        and time.monotonic() < deadline_s
    ):
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    told: list[str] = []
    resumed = prepare_agent_data(str(root), make_task(tmp_path / "tasks"), SMALL, fakes(), LevelUnits, seed=0, tell=told.append)
    assert ", 0 there" not in told[0]  # some pictures were kept
    assert files(resumed.folder) == files(whole.folder)


def test_workers_of_a_cluster_give_the_same_bytes(ray_cluster, tmp_path: Path, prepared: AgentData) -> None:
    task = make_task(tmp_path / "tasks")
    wide = prepare_agent_data(str(tmp_path), task, with_values(SMALL, {"workers": 2}), real_services(task), LevelUnits, seed=3)
    ours, theirs = files(wide.folder), files(prepared.folder)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == ["config.yaml"]
