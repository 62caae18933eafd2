"""Answers: those of `transformers`, the same in any company, and done as soon as they end."""

import pytest
import torch

from rapport.models.erc.generation import ErcGenerator, Prompt, Written
from rapport.models.erc.model_config import ErcGenerationConfig
from tests.models.erc.tiny_llm import prompt, tiny

PROMPTS = [Prompt(f"meld/train/{n}/3/erc", prompt(n)) for n in range(9)]


def _texts(prompts: list[Prompt] = PROMPTS, **settings: float) -> dict[tuple[str, int], tuple[str, int, bool]]:
    config = ErcGenerationConfig(**{"max_new_tokens": 20, **settings})
    found = list(ErcGenerator(tiny(), config).generate(prompts))
    answers = {(a.example_id, a.sample): (a.text, a.tokens, a.finished) for a in found}
    assert len(answers) == len(found) == len(prompts) * config.samples
    return answers


@pytest.fixture
def eager_to_end():
    """Rows end at different times, so that some leave the batch before others."""
    model = tiny()

    def hook(_module: object, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        return logits + 4 * torch.nn.functional.one_hot(torch.tensor(model.tokenizer.eos_token_id), logits.shape[-1])

    handle = model.base.get_output_embeddings().register_forward_hook(hook)
    yield
    handle.remove()


@pytest.mark.usefixtures("eager_to_end")
def test_greedy_answers_equal_those_of_transformers() -> None:
    model = tiny()
    batch = model.collator().prompts([p.text for p in PROMPTS])
    with torch.no_grad():
        theirs = model.base.generate(**batch, max_new_tokens=20, do_sample=False, pad_token_id=model.collator().pad)
    new = theirs[:, batch["input_ids"].shape[1] :]
    ours = _texts()
    assert {key: text for key, (text, _, _) in ours.items()} == {
        (p.example_id, 0): model.collator().decode(row.tolist()) for p, row in zip(PROMPTS, new, strict=True)
    }
    assert len({tokens for _, tokens, _ in ours.values()}) > 1


@pytest.mark.usefixtures("eager_to_end")
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_depends_on_neither_batch_nor_order(temperature: float) -> None:
    together = _texts(temperature=temperature)
    assert together == _texts(PROMPTS[::-1], temperature=temperature, batch_rows=2)
    alone = {key: answer for p in PROMPTS for key, answer in _texts([p], temperature=temperature, batch_tokens=16).items()}
    assert together == alone


@pytest.mark.usefixtures("eager_to_end")
def test_rows_that_have_ended_leave_the_batch() -> None:
    model, widths = tiny(), []
    handle = model.base.get_output_embeddings().register_forward_hook(lambda _m, _i, logits: widths.append(len(logits)))
    answers = _texts()
    handle.remove()
    assert widths[0] == len(PROMPTS)
    assert widths == sorted(widths, reverse=True)
    assert sum(widths) == sum(tokens for _, tokens, _ in answers.values())


def test_an_answer_that_does_not_end_is_cut_and_told() -> None:
    assert any(tokens == 3 and not finished for _, tokens, finished in _texts(max_new_tokens=3).values())


def test_several_answers_to_a_prompt_differ_and_the_first_stays() -> None:
    many, one = _texts(samples=3, temperature=1.0), _texts(temperature=1.0)
    assert {key: answer for key, answer in many.items() if key[1] == 0} == one
    assert len({many[PROMPTS[0].example_id, n] for n in range(3)}) == 3
    assert many == _texts(samples=3, temperature=1.0) != _texts(samples=3, temperature=1.0, seed=1)
    with pytest.raises(ValueError, match="samples is 2 and temperature 0"):
        ErcGenerationConfig(samples=2)


def test_batches_stay_within_their_budget() -> None:
    model, seen = tiny(), []
    embed = model.base.get_input_embeddings()
    handle = embed.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape))
    _texts(batch_tokens=400, max_new_tokens=4)
    handle.remove()
    read = [shape for shape in seen if shape[1] > 1]
    assert len(read) > 1
    assert all(rows == 1 or rows * (width + 4) <= 400 for rows, width in read)
    assert [width for _, width in read] == sorted((width for _, width in read), reverse=True)


def test_a_stream_brings_the_same_answer_in_pieces() -> None:
    config = ErcGenerationConfig(max_new_tokens=20)
    for p in PROMPTS[:3]:
        *pieces, last = ErcGenerator(tiny(), config).stream(p)
        assert isinstance(last, Written)
        assert last == next(ErcGenerator(tiny(), config).generate([p]))
        assert "".join(str(piece) for piece in pieces).strip() == last.text


def test_nothing_is_asked_and_nothing_answered() -> None:
    assert _texts([]) == {}
