"""Features and poses lie on one clock, and what has no motion is told of."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS, resample
from rapport.core.schema import Utterance
from rapport.datasets.assemble import assemble as assemble_corpus
from rapport.datasets.features import ChunkWorker, Clip, FeaturePlan, Made, Refused, assemble
from rapport.datasets.listener.build import MotionMaker, MotionStore, motion_facts, open_motion, plan_motion
from rapport.datasets.listener.mocap import read_motion
from rapport.datasets.listener.turns import ListenerTurn, TurnIndex, index_turns
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.prepared import PreparedCorpus, open_prepared
from rapport.datasets.stages.decode import decode_chunk
from rapport.datasets.synthetic.head_motion import LAGS_S


@dataclass(frozen=True)
class Levels:
    """Level and sign of the 64 ms that end at each frame."""

    frame_rate_hz: int = 30
    width: int = 2
    late: int = 0
    """Frames that are missing at the end."""

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "levels", "window": (1024, "samples")}

    def features(self, samples: np.ndarray) -> np.ndarray:
        frames = len(samples) * self.frame_rate_hz // 16_000 - self.late
        ends = (np.arange(frames) + 1) * 16_000 // self.frame_rate_hz
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (1024, 0)), 1024)[ends]
        return np.column_stack([10 * np.log10(np.square(windows).mean(1) + 1e-6), windows.mean(1)]).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(made_iemocap: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    values = {"corpus": {"name": "iemocap", "root": str(made_iemocap)}, "storage": str(tmp_path_factory.mktemp("storage"))}
    config = PrepareConfig.model_validate({**values, "split": {"method": "all_train"}})
    plan = plan_corpus(config)
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, config.limits)
    return open_prepared(assemble_corpus(plan)["folder"])


@pytest.fixture(scope="module")
def index(made_iemocap: Path) -> TurnIndex:
    return index_turns(str(made_iemocap))


def clip_of(corpus: PreparedCorpus, turn: ListenerTurn) -> Clip:
    return Clip(next(row for row in corpus.rows if row.utterance_id == turn.turn_id), corpus.waveform(turn.turn_id))


def made_of(corpus: PreparedCorpus, turn: ListenerTurn, **front_end: int) -> Made | Refused:
    (made,) = MotionMaker(lambda: Levels(**front_end), [turn])([clip_of(corpus, turn)])
    return made


def build(plan: FeaturePlan, make_maker: Callable[[], MotionMaker], front_end: Levels) -> str:
    worker = ChunkWorker(plan.corpus.path, plan.folder, make_maker)
    for chunk in plan.pending:
        worker({"index": chunk.index, "key": chunk.key, "ids": json.dumps(chunk.ids)})
    return str(assemble(plan, motion_facts(front_end))["folder"])


@pytest.mark.parametrize("rate_hz", [25, 30, 48, 60])
def test_frame_k_has_the_pose_at_its_time(corpus: PreparedCorpus, index: TurnIndex, rate_hz: int) -> None:
    turn = index.turns[0]
    made = made_of(corpus, turn, frame_rate_hz=rate_hz)
    assert isinstance(made, Made)
    samples = corpus.waveform(turn.turn_id)
    assert made.frames == len(samples) * rate_hz // 16_000
    assert made.arrays["features"].shape == (made.frames, 2)
    assert made.arrays["pose"].dtype == made.arrays["features"].dtype == np.float32
    whole = read_motion(turn.mocap_path.replace("sentences", "dialog").replace(f"/{Path(turn.mocap_path).name}", ".txt"))
    wanted = resample(whole.times_s, whole.degrees, turn.start_s + (np.arange(made.frames) + 1) / rate_hz)
    np.testing.assert_allclose(made.arrays["pose"][:-1], wanted[:-1], atol=1e-3)


def test_the_planted_lag_comes_out_of_features_and_poses(corpus: PreparedCorpus, index: TurnIndex) -> None:
    rate_hz, most = 60, 60
    alike = np.zeros(most)
    for turn in index.turns:
        made = made_of(corpus, turn, frame_rate_hz=rate_hz)
        assert isinstance(made, Made)
        level = np.clip(made.arrays["features"][:, 0], -45, -10)
        nods = made.arrays["pose"][:, ROTATIONS.index("pitch")]
        level, nods = level - level.mean(), nods - nods.mean()
        alike += [np.mean(level[: len(level) - lag] * nods[lag:]) for lag in range(most)]
    # The level is that of the 64 ms before the frame, whose middle lies 32 ms earlier.
    assert int(alike.argmax()) / rate_hz == pytest.approx(LAGS_S["pitch"] - 0.032, abs=1 / 30)


def test_both_clocks_of_motion_give_the_same_poses(corpus: PreparedCorpus, index: TurnIndex, tmp_path: Path) -> None:
    turn = index.turns[0]
    lines = Path(turn.mocap_path).read_text().splitlines()
    cells = [line.split() for line in lines[2:]]
    moved = [" ".join([number, f"{float(time_s) - turn.start_s:.5f}", *rest]) for number, time_s, *rest in cells]
    (tmp_path / "moved.txt").write_text("\n".join([*lines[:2], *moved]))
    one, other = made_of(corpus, turn), made_of(corpus, replace(turn, mocap_path=str(tmp_path / "moved.txt")))
    assert isinstance(one, Made)
    assert isinstance(other, Made)
    np.testing.assert_allclose(one.arrays["pose"], other.arrays["pose"], atol=1e-2)


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        (lambda lines: [], "motion_empty", "holds no pose"),
        (lambda lines: [" ".join([*line.split()[:2], *["NaN"] * 6]) for line in lines], "motion_empty", "have a NaN"),
        (lambda lines: lines[:100], "motion_span", "no pose between 0.8"),
        (lambda lines: lines[60:], "motion_span", "no pose between 0.00 and 0.5"),
        (lambda lines: [f"{line.split()[0]} 900.{i:06d} 1 2 3" for i, line in enumerate(lines)], "motion_span", "poses reach from"),
        (lambda lines: [*lines[:100], *(line.replace(".", "x") for line in lines[100:130]), *lines[130:]], "motion_span", "30 rows"),
        (None, "motion_missing", "cannot be read"),
    ],
)
def test_a_turn_without_its_motion_is_refused_with_the_reason(
    corpus: PreparedCorpus,
    index: TurnIndex,
    tmp_path: Path,
    change: Callable[[list[str]], list[str]] | None,
    reason: str,
    told: str,
) -> None:
    turn = index.turns[0]
    lines = Path(turn.mocap_path).read_text().splitlines()
    if change is not None:
        (tmp_path / "motion.txt").write_text("\n".join([*lines[:2], *change(lines[2:])]))
    refused = made_of(corpus, replace(turn, mocap_path=str(tmp_path / "motion.txt")))
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert "motion.txt" in refused.message
    assert told in refused.message


def test_a_recording_of_another_length_than_the_turn_is_refused(corpus: PreparedCorpus, index: TurnIndex) -> None:
    refused = made_of(corpus, replace(index.turns[0], end_s=index.turns[0].end_s + 0.5))
    assert isinstance(refused, Refused)
    assert refused.reason == "audio_span"


def test_short_losses_are_bridged(corpus: PreparedCorpus, index: TurnIndex, tmp_path: Path) -> None:
    turn = index.turns[0]
    lines = Path(turn.mocap_path).read_text().splitlines()
    lines[100:108] = [" ".join([*line.split()[:2], *["NaN"] * 6]) for line in lines[100:108]]
    (tmp_path / "motion.txt").write_text("\n".join(lines))
    made, whole = made_of(corpus, replace(turn, mocap_path=str(tmp_path / "motion.txt"))), made_of(corpus, turn)
    assert isinstance(made, Made)
    assert isinstance(whole, Made)
    np.testing.assert_allclose(made.arrays["pose"], whole.arrays["pose"], atol=1.5)


def test_a_store_is_built_read_and_found_again(corpus: PreparedCorpus, index: TurnIndex, tmp_path: Path) -> None:
    front_end = Levels()
    make_maker = partial(MotionMaker, Levels, index.turns)
    plan = plan_motion(str(tmp_path), corpus, index.turns, front_end)
    assert sum(len(chunk.ids) for chunk in plan.pending) == len(index.turns) == 4
    store = open_motion(build(plan, make_maker, front_end), front_end.identity)
    assert isinstance(store, MotionStore)
    assert sorted(store) == [turn.turn_id for turn in index.turns]
    assert (store.frame_rate_hz, store.width, store.hop_s) == (30, 2, 1 / 30)
    for turn in index.turns:
        features, pose = store.get(turn.turn_id)
        wanted = made_of(corpus, turn)
        assert isinstance(wanted, Made)
        np.testing.assert_array_equal(features, wanted.arrays["features"])
        np.testing.assert_array_equal(pose, wanted.arrays["pose"])
        assert store.lengths(turn.turn_id) == (len(pose), 0)
    assert not plan_motion(str(tmp_path), corpus, index.turns, front_end).pending
    with pytest.raises(RapportError, match=r"no turn 'iemocap/none'.*quarantine"):
        store.get("iemocap/none")
    with pytest.raises(RapportError, match="front end"):
        open_motion(store.folders, {"kind": "others"})


def test_other_motion_or_another_clock_is_built_anew(corpus: PreparedCorpus, index: TurnIndex, tmp_path: Path) -> None:
    first = plan_motion(str(tmp_path), corpus, index.turns, Levels())
    (tmp_path / "motion.txt").write_text(Path(index.turns[0].mocap_path).read_text() + "\n")
    mended = [replace(index.turns[0], mocap_path=str(tmp_path / "motion.txt")), *index.turns[1:]]
    others = (
        plan_motion(str(tmp_path), corpus, mended, Levels()),
        plan_motion(str(tmp_path), corpus, index.turns, Levels(frame_rate_hz=25)),
        plan_motion(str(tmp_path), corpus, index.turns, Levels(), tolerance_s=0.2),
    )
    assert len({first.folder, *(plan.folder for plan in others)}) == 4


def test_a_front_end_with_another_clock_and_a_clip_that_is_no_turn_are_errors(corpus: PreparedCorpus, index: TurnIndex) -> None:
    with pytest.raises(RapportError, match=r"the front end gave features \[\d+, 2\], wanted"):
        made_of(corpus, index.turns[0], late=1)
    stranger = Clip(Utterance("iemocap/other", "iemocap", "other.wav"), np.zeros(16_000, np.float32))
    with pytest.raises(RapportError, match="iemocap/other is none of the 4 turns"):
        MotionMaker(Levels, index.turns)([stranger])
