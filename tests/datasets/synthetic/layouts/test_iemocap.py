"""The made IEMOCAP has the shape of the published one, and listeners who follow the voice they hear."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS
from rapport.core.voice_signals import heard
from rapport.datasets.corpora import iemocap as corpus
from rapport.datasets.listener.mocap import parse_motion
from rapport.datasets.listener.turns import ListenerTurn, index_turns
from rapport.datasets.synthetic.head_motion import GAINS, LAGS_S, MOTION_RATE_HZ, POSE_SPREAD_DEG, listening
from rapport.datasets.synthetic.layouts import iemocap
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs in four scenes each."""
    folder = tmp_path_factory.mktemp("iemocap")
    request = Request(4, 8, seed=7)
    studio = Studio(espeak.load(), request.seed)
    for item in iemocap.plan(request):
        for path, data in iemocap.render(item, studio).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def turns(made: Path) -> list[ListenerTurn]:
    return index_turns(str(made)).turns


def heard_and_seen(turn: ListenerTurn) -> tuple[np.ndarray, np.ndarray]:
    """The voice [S] of a turn, and the head of who hears it [N, 3] from the same moment on."""
    motion = parse_motion(Path(turn.mocap_path).read_text(), turn.turn_id)
    samples, rate_hz = soundfile.read(turn.audio_path, dtype="float32")
    assert rate_hz == 16_000
    return samples, motion.degrees[: len(samples) * MOTION_RATE_HZ // rate_hz]


def test_the_whole_is_as_large_as_the_published_corpus() -> None:
    turns = iemocap.plan(Request())
    assert len(turns) == 10_000
    assert set(Counter((t.scene.session, t.speaker) for t in turns).values()) == {1000}
    assert Counter(t.scene.wearer for t in turns) == {"F": 5000, "M": 5000}
    assert max(Counter(t.scene for t in turns).values()) <= 16
    assert turns[0].path == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"


@pytest.mark.parametrize("utterances", [1, 2, 5, 32, 40])
def test_part_of_it_has_listeners_of_both_kinds_and_whole_scenes(utterances: int) -> None:
    turns = iemocap.plan(Request(2, utterances))
    assert Counter(t.speaker for t in turns) == {"F": utterances, "M": utterances}
    assert {t.scene.wearer for t in turns} == ({"F", "M"} if utterances > 1 else {"F"})
    scenes = list(dict.fromkeys(t.scene for t in turns))
    assert [t for scene in scenes for t in scene.turns] == turns


def test_speakers_come_in_pairs() -> None:
    with pytest.raises(RapportError, match="--speakers 3: this layout takes pairs"):
        iemocap.plan(Request(3, 4))


def test_a_sentence_is_a_stretch_of_its_channel_of_the_dialogue(made: Path, turns: list[ListenerTurn]) -> None:
    for turn in turns[::5]:
        dialogue = turn.dialogue.removeprefix("iemocap/")
        whole, _ = soundfile.read(made / turn.session.capitalize() / "dialog/wav" / f"{dialogue}.wav", dtype="int16")
        samples, _ = soundfile.read(turn.audio_path, dtype="int16")
        first = round(turn.start_s * 16_000)
        assert turn.channel == (0 if turn.speaker.endswith("F") else 1)
        np.testing.assert_array_equal(whole[first : round(turn.end_s * 16_000), turn.channel], samples)


def test_tables_are_those_of_the_corpus(made: Path) -> None:
    scan = corpus.scan(str(made), corpus.Options())
    assert len(scan.rows) == 32
    assert all(row.text and row.text.endswith(".") for row in scan.rows)
    assert {row.emotion_raw for row in scan.rows} <= {*iemocap._CODES}
    evaluations, odd = corpus.read_evaluations(str(made))
    assert not odd
    dialogues = corpus.by_dialogue(evaluations)
    assert len(dialogues) == 8
    for said in dialogues.values():
        assert [e.name.speaker for e in said] == [said[0].name.wearer, "M" if said[0].name.wearer == "F" else "F"] * (len(said) // 2)
        assert all(1 <= value <= 5 for e in said for value in (e.valence, e.activation, e.dominance))


def test_motion_of_a_sentence_is_that_of_the_dialogue_at_120_rows_a_second(made: Path, turns: list[ListenerTurn]) -> None:
    turn = turns[0]
    lines = Path(turn.mocap_path).read_text().splitlines()
    assert lines[0].split() == ["Frame#", "Time", *iemocap.COLUMNS]
    times_s = np.array([float(line.split()[1]) for line in lines[2:]])
    np.testing.assert_allclose(np.diff(times_s), 1 / 120, atol=2e-5)
    assert times_s[0] <= turn.start_s < times_s[1]
    assert times_s[-2] <= turn.end_s <= times_s[-1]
    whole = made / "Session1/dialog/MOCAP_head" / f"{turn.dialogue.removeprefix('iemocap/')}.txt"
    assert set(lines) <= set(whole.read_text().splitlines())


def test_the_voice_tells_most_of_the_motion_but_not_all(turns: list[ListenerTurn]) -> None:
    unexplained, total = np.zeros(3), np.zeros(3)
    for turn in (t for t in turns if not t.overlaps):
        samples, seen = heard_and_seen(turn)
        rest = seen - listening(samples)[: len(seen)]
        unexplained += np.square(rest - rest.mean(0)).sum(0)
        total += np.square(seen - seen.mean(0)).sum(0)
    told = dict(zip(ROTATIONS, 1 - unexplained / total, strict=True))
    assert all(0.6 < share < 0.9 for share in told.values()), told


def test_the_planted_lags_are_found_in_the_files(turns: list[ListenerTurn]) -> None:
    most = round(1.5 * MOTION_RATE_HZ)
    products, counts = np.zeros((most, 3)), np.zeros((most, 1))
    for turn in (t for t in turns if not t.overlaps):
        samples, seen = heard_and_seen(turn)
        signals, moved = heard(samples)[: len(seen)], seen - seen.mean(0)
        signals = (signals - signals.mean(0)) * np.sign([GAINS[angle] for angle in ROTATIONS])
        for shift in range(most):
            products[shift] += (signals[: len(moved) - shift] * moved[shift:]).sum(0)
            counts[shift] += len(moved) - shift
    found_s = (products / counts).argmax(0) / MOTION_RATE_HZ
    np.testing.assert_allclose(found_s, [LAGS_S[angle] for angle in ROTATIONS], atol=1 / 30)


def test_a_person_keeps_a_pose_and_others_have_another(turns: list[ListenerTurn]) -> None:
    means: dict[str, list[np.ndarray]] = {}
    for turn in turns:
        samples, seen = heard_and_seen(turn)
        means.setdefault(turn.listener, []).append((seen - listening(samples)[: len(seen)]).mean(0))
    assert len(means) == 4
    within = np.mean([np.std(poses, axis=0) for poses in means.values()])
    between = np.std([np.mean(poses, axis=0) for poses in means.values()], axis=0).mean()
    assert within < 3 < between < 2 * POSE_SPREAD_DEG


def test_what_belongs_to_the_dialogue_comes_with_its_first_turn() -> None:
    studio = Studio(espeak.load(), 0)
    first, second = iemocap.plan(Request(2, 1))
    files = iemocap.render(first, studio)
    info = soundfile.info(io.BytesIO(files["Session1/dialog/wav/Ses01F_impro01.wav"]))
    assert (info.channels, info.samplerate) == (2, 16_000)
    kinds = sorted(path.split("/")[2] for path in files)
    assert kinds == ["EmoEvaluation", "MOCAP_head", "MOCAP_head", "transcriptions", "wav", "wav"]
    assert sorted(path.split("/")[2] for path in iemocap.render(second, studio)) == ["MOCAP_head", "wav"]
