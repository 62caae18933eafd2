"""Prompts and answers as ids: what is learned is the answer and its end, exactly."""

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rapport.core.conversations import LABELS, ErcExample
from rapport.core.errors import RapportError
from rapport.models.backends.llm.loss import IGNORED
from rapport.models.erc.collate import ErcCollator, ErcData
from rapport.models.erc.model_config import TokensConfig
from tests.models.erc.tiny_llm import build, example, prompt, tiny

ROWS = [example(0), example(5), example(2, "She is glad.\n<joyful>")]


def _collator(**settings: Any) -> ErcCollator:
    return ErcCollator(tiny().tokenizer, TokensConfig(**settings))


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("corpus", sorted(LABELS))
def test_the_loss_mask_covers_exactly_target_and_eos(corpus: str, published: bool) -> None:
    collator, tokenizer = _collator(published=published), tiny().tokenizer
    rows = [ErcExample(str(n), "erc", prompt(n), label, label) for n, label in enumerate(LABELS[corpus])]
    batch = collator(rows)
    for row, label in enumerate(LABELS[corpus]):
        learned = batch["labels"][row] != IGNORED
        places = learned.nonzero()[:, 0].tolist()
        assert places == list(range(places[0], places[0] + len(places)))
        ids = batch["input_ids"][row][learned].tolist()
        assert batch["labels"][row][learned].tolist() == ids
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids[:-1]).strip() == label
        before = batch["input_ids"][row][: places[0]][batch["attention_mask"][row][: places[0]].bool()].tolist()
        assert before[0] == tokenizer.bos_token_id
        assert tokenizer.decode(before[1:]) == prompt(row)
        assert int(batch["attention_mask"][row].sum()) == len(before) + len(ids)


def test_apart_is_tokenised_as_together() -> None:
    """The answer has the tokens that it has in running text, such as in the list of labels."""
    collator, tokenizer = _collator(), tiny().tokenizer
    for row in ROWS[:2]:
        encoded = collator.encode([row])[0]
        together = tokenizer(f"{row.input} {row.target}", add_special_tokens=False)["input_ids"]
        assert [*encoded.prompt, *encoded.target] == [tokenizer.bos_token_id, *together, tokenizer.eos_token_id]


def test_a_tokenizer_that_marks_words_itself_gets_no_space() -> None:
    vocabulary = {"<s>": 0, "</s>": 1, "▁": 2, **{c: n for n, c in enumerate(sorted({*"ANSWER:sad joyful"} - {" "}), 3)}}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<s>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    collator = ErcCollator(tokenizer, TokensConfig())
    pieces = tokenizer.convert_ids_to_tokens(collator.answer_ids(["sad"])[0].tolist())
    assert pieces == ["▁", "s", "a", "d", "</s>"]


def test_what_looks_like_a_special_token_in_a_line_is_words() -> None:
    collator, tokenizer = _collator(), tiny().tokenizer
    ids = collator.prompt_ids(["Tom: <|eot_id|> hello"])[0].tolist()
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids[1:]) == "Tom: <|eot_id|> hello"


def test_lengths_are_counted_without_building() -> None:
    for published in (False, True):
        collator = _collator(published=published, max_tokens=60 if published else 400)
        assert collator.lengths(ROWS).tolist() == [len(row) for row in collator.encode(ROWS)]
    collator = _collator()
    assert collator.count(prompt(1)) == len(collator.prompt_ids([prompt(1)])[0])
    assert collator.count_answer("sad") == len(collator.answer_ids(["sad"])[0])


def test_too_long_is_an_error_and_never_cut() -> None:
    room = int(_collator().lengths(ROWS).max())
    assert len(_collator(max_tokens=room).encode(ROWS)) == 3
    with pytest.raises(RapportError, match=rf"has {room} tokens.*max_tokens is {room - 1}"):
        _collator(max_tokens=room - 1).encode(ROWS)


def test_the_published_way_cuts_prompts_on_the_right_and_pads_on_the_left() -> None:
    tokenizer, room = tiny().tokenizer, 40
    collator = _collator(published=True, max_tokens=room)
    for row, encoded in zip(ROWS, collator.encode(ROWS), strict=True):
        read = tokenizer(row.input, truncation=True, max_length=room - 1)["input_ids"]
        ids = read + tokenizer(row.target, add_special_tokens=False)["input_ids"]
        assert [*encoded.prompt, *encoded.target] == [*ids[:room], tokenizer.eos_token_id]
    batch = _collator(published=True)(ROWS)
    assert bool(batch["attention_mask"][:, -1].all())
    assert not bool(batch["attention_mask"][:, 0].all())
    assert max(map(len, collator.prompt_ids([prompt(9)]))) == room


def test_the_side_of_padding_does_not_change_the_loss() -> None:
    model, collator = tiny(), _collator()
    encoded = collator.encode(ROWS)
    with torch.no_grad():
        left, right = (model(**collator.batch(encoded, side)) for side in ("left", "right"))
    assert float(left.loss_sum) == pytest.approx(float(right.loss_sum), rel=1e-5)
    assert int(left.token_count) == int(right.token_count) == sum(len(row.target) for row in encoded)


def test_a_chat_template_goes_around_the_prompt() -> None:
    model = build()
    tokenizer = model.tokenizer
    with pytest.raises(RapportError, match="no chat template"):
        ErcCollator(tokenizer, TokensConfig(chat_template=True))
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    collator = ErcCollator(tokenizer, TokensConfig(chat_template=True))
    ids = collator.prompt_ids(["Tom: <|eot_id|> hello"])[0].tolist()
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == "[user] Tom: <|eot_id|> hello[assistant] "


def test_a_data_set_gives_the_same_rows_in_any_batch() -> None:
    data = ErcData(ROWS, _collator())
    assert data.example_ids == tuple(row.example_id for row in ROWS)
    assert data.lengths.tolist() == _collator().lengths(ROWS).tolist()
    whole, one = data.batch(np.arange(3)), data.batch(np.array([1]))
    assert whole["input_ids"].dtype == torch.int64
    assert whole["input_ids"][1, : data.lengths[1]].tolist() == one["input_ids"][0].tolist()
