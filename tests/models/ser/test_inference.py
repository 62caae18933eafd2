"""Answers for clips and along recordings."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import DecodingConfig, SerConfig
from rapport.models.ser.inference import Predictor, pick_device, windows
from tests.models.ser.conftest import speech

Make = Callable[..., SpeechEmotionClassifier]
CLIPS = [speech(s, i).numpy() for i, s in enumerate((0.7, 2.0, 0.1, 1.3, 0.4, 3.1))]


def predictor(make: Make, kind: str = "logmel", batch_s: float = 240.0, **decoding: object) -> Predictor:
    settings = SerConfig(decoding=DecodingConfig.model_validate(decoding))
    return Predictor(make(kind, settings), device="cpu", batch_s=batch_s)


@pytest.mark.parametrize("kind", ["logmel", "hubert-group", "wavlm-layer"])
def test_batched_and_single_answers_agree(make_classifier: Make, kind: str) -> None:
    wide = predictor(make_classifier, kind).probabilities(CLIPS)
    for batch_s in (0.5, 4.0):
        np.testing.assert_allclose(predictor(make_classifier, kind, batch_s).probabilities(CLIPS), wide, atol=1e-4)
    single = predictor(make_classifier, kind)
    np.testing.assert_allclose(np.concatenate([single.probabilities([c]) for c in CLIPS]), wide, atol=1e-4)
    np.testing.assert_allclose(single.probabilities(CLIPS[::-1])[::-1], wide, atol=1e-4)


def test_an_answer_names_its_most_probable_emotion(make_classifier: Make) -> None:
    it = predictor(make_classifier)
    for answer in it.predict(CLIPS):
        assert list(answer.scores) == list(it.emotions)
        assert sum(answer.scores.values()) == pytest.approx(1)
        assert answer.scores[answer.emotion] == max(answer.scores.values())
    assert it.predict([]) == []


def test_a_saved_model_gives_the_same_answers(make_classifier: Make, tmp_path: Path) -> None:
    model = make_classifier("logmel", SerConfig(decoding=DecodingConfig(window_s=1.5)))
    wanted = Predictor(model, device="cpu").predict(CLIPS)
    model.save_pretrained(tmp_path)
    loaded = Predictor.from_pretrained(tmp_path, device="cpu")
    assert loaded.predict(CLIPS) == wanted
    assert loaded.window_s == 1.5


def test_silence_is_trimmed_as_in_training(make_classifier: Make) -> None:
    silence = np.zeros(12000, np.float32)
    clip = CLIPS[0]
    padded = np.concatenate([silence, clip, silence])
    trimming = predictor(make_classifier, trim_silence=True)
    np.testing.assert_allclose(
        trimming.probabilities([padded, np.concatenate([padded, silence])])[0], trimming.probabilities([padded])[0], atol=1e-4
    )
    plain = predictor(make_classifier, trim_silence=False)
    longer = np.concatenate([padded, silence])
    assert np.abs(plain.probabilities([padded]) - plain.probabilities([longer])).max() > 1e-3
    np.testing.assert_allclose(trimming.probabilities([padded]), trimming.probabilities([longer]), atol=1e-4)
    assert trimming.predict([silence])[0].emotion in trimming.emotions


def test_temperature_softens_and_does_not_reorder(make_classifier: Make) -> None:
    plain, soft = predictor(make_classifier), predictor(make_classifier, temperature=3.0)
    one, other = plain.probabilities(CLIPS), soft.probabilities(CLIPS)
    assert (one.argmax(1) == other.argmax(1)).all()
    assert (other.max(1) < one.max(1)).all()


def test_scores_are_averaged_over_voice_sizes(make_classifier: Make) -> None:
    logs = [np.log(predictor(make_classifier, warps=(w,)).probabilities(CLIPS)) for w in (0.9, 1.0, 1.1)]
    mean = np.exp(np.mean(logs, axis=0))
    both = predictor(make_classifier, warps=(0.9, 1.0, 1.1)).probabilities(CLIPS)
    np.testing.assert_allclose(both, mean / mean.sum(1, keepdims=True), atol=1e-5)


def test_a_long_recording_is_the_mean_of_its_windows(make_classifier: Make) -> None:
    it = predictor(make_classifier, window_s=1.0, max_clip_s=2.0, trim_silence=False)
    recording = speech(5.3, 7).numpy()
    parts = it.probabilities([recording[a:b] for a, b in windows(len(recording), 1.0, 0.5)])
    np.testing.assert_allclose(it.probabilities([CLIPS[0], recording])[1], parts.mean(0), atol=1e-4)


@pytest.mark.parametrize(
    ("seconds", "window_s", "hop_s", "wanted"),
    [
        (3.0, 1.0, 1.0, [(0, 1), (1, 2), (2, 3)]),
        (3.5, 1.0, 1.0, [(0, 1), (1, 2), (2, 3), (2.5, 3.5)]),
        (0.4, 1.0, 0.5, [(0, 0.4)]),
        (5.0, 5.0, 1.0, [(0, 5)]),
        (2.0, 1.5, 9.0, [(0, 1.5), (0.5, 2)]),
    ],
)
def test_windows_cover_everything_and_end_where_the_recording_ends(
    seconds: float, window_s: float, hop_s: float, wanted: list[tuple[float, float]]
) -> None:
    assert [(a / 16000, b / 16000) for a, b in windows(round(seconds * 16000), window_s, hop_s)] == wanted
    with pytest.raises(RapportError, match="more than 0"):
        windows(16000, window_s, 0)


def test_the_timeline_uses_windows_of_the_trained_length_and_smooths(make_classifier: Make) -> None:
    it = predictor(make_classifier, window_s=1.0)
    recording = np.concatenate([speech(1.5, 1).numpy(), 2 * speech(2.0, 2).numpy()])
    rough = it.timeline(recording, smoothing_s=0)
    assert [(m.start_s, m.end_s) for m in rough] == [(a / 16000, b / 16000) for a, b in windows(len(recording), 1.0, 0.25)]
    pieces = it.predict([recording[round(m.start_s * 16000) : round(m.end_s * 16000)] for m in rough])
    for moment, piece in zip(rough, pieces, strict=True):
        assert moment.scores == pytest.approx(piece.scores, abs=1e-4)
    smooth = it.timeline(recording, smoothing_s=1.0)
    keep = np.exp(-0.25)
    expected = np.array(list(rough[0].scores.values()))
    for before, after in zip(rough[1:], smooth[1:], strict=True):
        expected = keep * expected + (1 - keep) * np.array(list(before.scores.values()))
        np.testing.assert_allclose(list(after.scores.values()), expected, atol=1e-6)
        assert after.emotion == max(after.scores, key=after.scores.__getitem__)


def test_threads_share_a_predictor(make_classifier: Make) -> None:
    it = predictor(make_classifier)
    wanted = it.probabilities(CLIPS)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: it.probabilities(CLIPS), range(8)):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_embeddings_come_one_a_clip_in_order(make_classifier: Make) -> None:
    it = predictor(make_classifier)
    vectors = it.embed(CLIPS)
    assert vectors.shape == (len(CLIPS), 256)
    np.testing.assert_allclose(vectors[2], it.embed([CLIPS[2]])[0], atol=1e-4)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros(0, np.float32), r"clip 1 has shape \(0,\)"),
        (np.zeros((2, 50), np.float32), r"clip 1 has shape \(2, 50\)"),
        (np.full(400, np.nan, np.float32), "clip 1 holds NaN"),
    ],
)
def test_clips_that_are_no_speech_are_refused_by_index(make_classifier: Make, clip: np.ndarray, message: str) -> None:
    with pytest.raises(RapportError, match=message):
        predictor(make_classifier).predict([CLIPS[0], clip])


def test_the_device_is_checked() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(RapportError, match="device 'cuda:7' cannot be used here"):
        pick_device("cuda:7")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["logmel", "hubert-group"])
def test_a_gpu_agrees_with_the_cpu_and_with_itself_in_other_batches(make_classifier: Make, kind: str) -> None:
    wanted = predictor(make_classifier, kind).probabilities(CLIPS)
    fast = Predictor(make_classifier(kind, SerConfig()), device="cuda")
    np.testing.assert_allclose(fast.probabilities(CLIPS), wanted, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([fast.probabilities([c]) for c in CLIPS]), wanted, atol=1e-4)


def test_the_model_is_left_in_evaluation_mode_without_gradients(make_classifier: Make) -> None:
    model = make_classifier("logmel").train()
    Predictor(model, device="cpu").predict(CLIPS[:1])
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert isinstance(next(model.parameters()), torch.nn.Parameter)
