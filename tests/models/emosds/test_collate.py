"""From examples to ids: what is read, what is learned, and where the boundary lies."""

import copy

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.core.units import SpeechUnits
from rapport.models.emosds.collate import IGNORED
from rapport.models.emosds.config import InjectionConfig
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.prompts import render
from rapport.models.units.sequence import units_to_text
from tests.models.emosds.tiny import WIDTH, example, speech

SPOKEN = SpeechUnits.of([5, 5, 9, 9, 9, 2, 5], np.ones((7, WIDTH), np.float32))


def test_seven_frames_are_four_units_and_seven_slots(model: SpeechLanguageModel) -> None:
    encoded = model.collator().encode(example(2), SPOKEN)
    assert SPOKEN.runs.tolist() == [2, 3, 1, 1]
    assert "<sosp><5><9><2><5><eosp>" in model.tokenizer.decode(encoded.prefix)
    assert (encoded.prefix == model.manifest.residual).sum() == 7 == len(encoded.residuals)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_ids_are_those_of_the_written_prefix(model: SpeechLanguageModel, stage: int) -> None:
    """Tokenised in pieces, the prefix is what it is as one text; but in stage 1 its last space belongs to the first word of the answer."""
    encoded = model.collator().encode(example(stage), SPOKEN)
    text = render(example(stage), model.settings)
    whole = text.runtime(units_to_text(SPOKEN.units), 7 if stage > 1 else 0)
    assert encoded.prefix.tolist() == model.tokenizer(whole if stage > 1 else whole[:-1])["input_ids"]
    joined = np.concatenate([encoded.prefix, encoded.target])
    assert joined.tolist() == [*model.tokenizer(whole + text.target)["input_ids"], model.manifest.eos]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_labels_leave_out_exactly_what_is_read(model: SpeechLanguageModel, stage: int) -> None:
    collator = model.collator()
    batch = collator([example(stage), example(stage, "b", text="No.")], [SPOKEN, speech(20)])
    for row, spoken in enumerate((SPOKEN, speech(20))):
        encoded = collator.encode(example(stage, text="I missed the last bus." if row == 0 else "No."), spoken)
        learned = batch["labels"][row] != IGNORED
        assert int(learned.nonzero()[0]) == len(encoded.prefix)
        assert batch["labels"][row][learned].tolist() == encoded.target.tolist() == batch["input_ids"][row][learned].tolist()
        assert encoded.prefix[0] == model.manifest.bos
        assert encoded.target[-1] == model.manifest.eos


def test_the_first_word_of_a_transcript_is_learned_whole(model: SpeechLanguageModel) -> None:
    target = model.collator().encode(example(1), SPOKEN).target
    assert model.tokenizer.convert_ids_to_tokens(int(target[0])) == "ĠI"
    assert target.tolist()[:-1] == model.collator().encode(example(2), SPOKEN).target.tolist()[1:-1]


def test_prompts_are_padded_left_and_what_is_learned_right(model: SpeechLanguageModel) -> None:
    collator = model.collator()
    rows = [example(2), example(2, "b")], [speech(8), speech(30)]
    learned, prompts = collator(*rows), collator.prompts(*rows)
    assert "labels" not in prompts
    assert prompts["input_ids"][0, 0] == learned["input_ids"][0, -1] == model.manifest.pad
    assert prompts["input_ids"][0, -1] == model.manifest.residual
    for batch in (learned, prompts):
        assert torch.equal(batch["attention_mask"] == 0, batch["input_ids"] == model.manifest.pad)
        assert batch["residual_lengths"].tolist() == [8, 30]
        assert batch["residuals"].shape == (38, WIDTH)
        assert batch["residuals"].dtype == torch.float16


@pytest.mark.parametrize("settings", [{}, {"unit_mode": "raw"}, {"unit_mode": "downsample"}, {"inputs": "residuals"}, {"inputs": "text"}])
@pytest.mark.parametrize("stride", [1, 4])
def test_lengths_are_known_without_reading_speech(model: SpeechLanguageModel, settings: dict[str, str], stride: int) -> None:
    collator = copy.copy(model.collator())
    collator.config = model.settings.model_copy(update=settings | {"injection": InjectionConfig(kind="strided", stride=stride)})
    examples = [example(1), example(2, prompt=3), example(3)]
    spoken = [speech(n) for n in (9, 30, 21)]
    counted = collator.lengths(examples, [(len(s.ids), len(s.units)) for s in spoken])
    assert counted.tolist() == [len(collator.encode(e, s)) for e, s in zip(examples, spoken, strict=True)]


@pytest.mark.parametrize(("inputs", "units", "slots"), [("units+residuals", 4, 7), ("units", 4, 0), ("residuals", 0, 7), ("text", 0, 0)])
def test_each_view_of_the_speech_can_be_left_out(model: SpeechLanguageModel, inputs: str, units: int, slots: int) -> None:
    collator = copy.copy(model.collator())
    collator.config = model.settings.model_copy(update={"inputs": inputs})
    prefix = collator.encode(example(2), SPOKEN).prefix
    assert np.isin(prefix, model.manifest.units).sum() == units
    assert (prefix == model.manifest.residual).sum() == slots


def test_a_copy_for_another_process_does_the_same(model: SpeechLanguageModel) -> None:
    collator = model.collator()
    again = copy.deepcopy(collator)  # goes through the state that is moved between processes
    assert again.encode(example(3), SPOKEN).prefix.tolist() == collator.encode(example(3), SPOKEN).prefix.tolist()


def test_errors_name_the_example_and_the_setting(model: SpeechLanguageModel) -> None:
    collator = model.collator()
    with pytest.raises(RapportError, match="example a comes without speech"):
        collator.encode(example(2), None)
    with pytest.raises(RapportError, match="example a has no residuals"):
        collator.encode(example(2), SpeechUnits.of([1, 2]))
    with pytest.raises(RapportError, match="unit 12, and clusters is 12"):
        collator.encode(example(1), SpeechUnits.of([12]))
    with pytest.raises(RapportError, match=r"shape \(2, 3\): wanted \(2, 6\)"):
        collator.encode(example(2), SpeechUnits.of([1, 2], np.zeros((2, 3), np.float32)))
    collator.config = model.settings.model_copy(update={"max_tokens": 16})
    with pytest.raises(RapportError, match="raise max_tokens"):
        collator.encode(example(2), SPOKEN)
