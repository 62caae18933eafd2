"""Ids of added tokens: the published ones, and the same again after loading."""

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from rapport.models.backends.llm.embedded import train_tokenizer
from rapport.models.backends.llm.padding import PAD, ensure_pad
from rapport.models.emosds.answer import EMOTIONS
from rapport.models.emosds.tokens import (
    TokenError,
    add_tokens,
    check_manifest,
    extend_tokenizer,
    plain_text_pattern,
    speech_tokens,
)
from tests.models.emosds.tiny import published_tokenizer


def test_the_stage_chain_gives_the_published_ids() -> None:
    tokenizer = published_tokenizer(reserved_pad=True)
    assert len(tokenizer) == 128_256
    assert [add_tokens(tokenizer, speech_tokens(1000, EMOTIONS, stage)) for stage in (1, 2, 3)] == [129_258, 129_264, 129_266]
    named = {
        "<0>": 128_256,
        "<999>": 129_255,
        "<sosp>": 129_256,
        "<eosp>": 129_257,
        "<residual>": 129_258,
        "<anger>": 129_259,
        "<surprise>": 129_263,
        "user: ": 129_264,
        "EmoSDS: ": 129_265,
    }
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in named} == named


@pytest.mark.parametrize(("reserved", "size"), [(True, 129_266), (False, 129_267)])
def test_adding_all_at_once_gives_the_same_ids_and_a_pad_of_its_own(reserved: bool, size: int) -> None:
    tokenizer = published_tokenizer(reserved)
    manifest = extend_tokenizer(tokenizer, 1000, EMOTIONS)
    assert (manifest.size, manifest.residual, manifest.system) == (size, 129_258, 129_265)
    assert manifest.units[[0, 999]].tolist() == [128_256, 129_255]
    assert manifest.tags == tuple(range(129_259, 129_264))
    assert manifest.pad == (2 if reserved else 129_266)
    assert manifest.pad not in (manifest.eos, manifest.bos)


@pytest.fixture
def tokenizer() -> Any:
    return train_tokenizer(["I missed the last bus."], 300)


def test_a_pad_that_also_ends_text_is_replaced(tokenizer: Any) -> None:
    tokenizer.pad_token = tokenizer.eos_token
    assert ensure_pad(tokenizer) == tokenizer.convert_tokens_to_ids(PAD) != tokenizer.eos_token_id


def test_added_tokens_survive_decoding(tokenizer: Any) -> None:
    extend_tokenizer(tokenizer, 12, EMOTIONS)
    text = "<sadness> I missed the last bus. EmoSDS: <neutral> Ça va? 5 < 6 <3"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_a_saved_manifest_is_compared(tokenizer: Any, tmp_path: Any) -> None:
    manifest = extend_tokenizer(tokenizer, 12, EMOTIONS)
    tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert check_manifest(manifest.to_json(), again, 12, EMOTIONS, tmp_path).hash == manifest.hash
    other = manifest.to_json() | {"pad": 5}
    with pytest.raises(TokenError, match=f"says pad 5, and the tokenizer {manifest.pad}"):
        check_manifest(other, again, 12, EMOTIONS, tmp_path)
    with pytest.raises(TokenError, match="lacks 1 of the added tokens"):
        check_manifest(manifest.to_json(), again, 13, EMOTIONS, tmp_path)


def test_the_hash_tells_vocabularies_apart(tokenizer: Any) -> None:
    other = train_tokenizer(["I kissed the past bus."], 300)
    assert len(other) == len(tokenizer)
    assert extend_tokenizer(tokenizer, 12, EMOTIONS).hash != extend_tokenizer(other, 12, EMOTIONS).hash


def test_marks_are_found_in_free_text(tokenizer: Any) -> None:
    marks = plain_text_pattern(tokenizer, extend_tokenizer(tokenizer, 12, EMOTIONS))
    text = "a <residual> b <77> <sadness> <|eot_id|> user: x <3 <joy> EmoSDS:"
    assert marks.findall(text) == ["<residual>", "<77>", "<sadness>", "<|eot_id|>", "user:", "EmoSDS:"]


def test_a_tokenizer_that_cannot_end_is_refused(tokenizer: Any) -> None:
    tokenizer.eos_token = None
    with pytest.raises(TokenError, match="no eos_token"):
        extend_tokenizer(tokenizer, 12, EMOTIONS)
