import numpy as np
import pytest
import torch

from rapport.models.ser.inference import Predictor
from rapport.training.evaluation import Predictions, answer_clips, predict_clips
from tests.training.conftest import CORPORA, tone, tone_clips


def test_predictions_do_not_depend_on_batching_and_leave_the_mode_alone(make_model):
    model, clips = make_model().train(), tone_clips(range(3))
    together = predict_clips(model, clips, batch_s=100)
    one_by_one = predict_clips(model, clips, batch_s=0.01, threads=2)
    assert model.training
    np.testing.assert_allclose(together.probabilities, one_by_one.probabilities, atol=1e-5)
    np.testing.assert_allclose(together.probabilities.sum(1), 1)


def test_predictions_are_in_the_order_of_the_rows(make_model):
    model, clips = make_model().eval(), tone_clips(range(2))
    batch = clips.batch([4])
    with torch.no_grad():
        alone = model(batch.waveforms, batch.lengths).logits.softmax(1)[0]
    np.testing.assert_allclose(predict_clips(model, clips).probabilities[4], alone, atol=1e-5)


def test_final_answers_are_those_of_the_saved_model(make_model, tmp_path):
    model, clips = (
        make_model(decoding={"warps": (0.9, 1.0, 1.1), "temperature": 2.0, "max_clip_s": 0.4, "window_s": 0.3}),
        tone_clips(range(2)),
    )
    answers = answer_clips(model, clips)
    model.save_pretrained(tmp_path)
    saved = Predictor.from_pretrained(tmp_path, device="cpu").probabilities([tone(row.utterance_id) for row in clips.rows])
    np.testing.assert_allclose(answers.probabilities, saved, atol=1e-5)
    assert np.abs(answers.probabilities - predict_clips(model, clips).probabilities).max() > 1e-3


def test_figures_of_an_epoch_count_what_is_there():
    clips = tone_clips(range(1), corpora=CORPORA)
    probabilities = np.full((12, 3), 0.1)
    probabilities[np.arange(12), clips.targets] = 0.8
    probabilities[0] = [0.1, 0.8, 0.1]  # a neutral clip of the first corpus is called happy
    figures = Predictions(clips, probabilities).brief()
    assert figures["recall"] == {"neutral": 0.75, "happy": 1.0, "sad": 1.0}
    assert figures["uar"] == pytest.approx(2.75 / 3)
    assert figures["per_corpus"] == {"tones": pytest.approx(2.5 / 3), "more": 1.0}
    assert figures["confusion"] == [[3, 1, 0], [0, 4, 0], [0, 0, 4]]
    assert figures["loss"] == pytest.approx(-(11 * np.log(0.8) + np.log(0.1)) / 12)
    assert "domain_wa" not in figures


def test_figures_of_a_report_have_an_interval_by_speaker():
    clips = tone_clips(range(4))
    full = Predictions(clips, np.eye(3)[clips.targets]).full()
    assert full["uar"] == 1
    assert full["interval"]["unit"] == "speaker"
    assert full["interval"]["units"] == 4
