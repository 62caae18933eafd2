"""Engines: the base is loaded once and adapters come and go; vLLM is asked for the same and answers the same."""

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.erc.engine import RolloutEngine, TransformersEngine, open_engine
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model import apply_trainable
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ErcTrainableConfig, ScoringConfig
from rapport.models.erc.pretrained import build_model, from_pretrained, save_pretrained
from rapport.models.erc.scoring import Choice
from rapport.models.ser.config import LoraConfig
from tests.models.erc.tiny_llm import base_folder, learn_something, prompt

PROMPTS = [Prompt(f"p{n}", prompt(n)) for n in range(4)]
CHOICES = [Choice(f"p{n}", prompt(n), ("joyful", "sad", "disgust")) for n in range(4)]
GREEDY = ErcGenerationConfig(max_new_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in `base`, adapters on it in `one` and `two`."""
    root = tmp_path_factory.mktemp("engines")
    base = base_folder(root / "base")
    for seed, name in enumerate(("one", "two")):
        model = build_model(ErcModelConfig(base=str(base)))
        apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=4)))
        learn_something(model, seed)
        save_pretrained(model, root / name)
    return root


def _texts(engine: RolloutEngine) -> dict[str, str]:
    return {a.example_id: a.text for a in engine.generate(PROMPTS, GREEDY)}


def test_adapters_are_loaded_while_the_base_stays(folder: Path) -> None:
    engine = open_engine(ErcModelConfig(base=str(folder / "base")))
    assert isinstance(engine, TransformersEngine)
    base, plain = engine.model.base, _texts(engine)
    engine.load_adapter(folder / "one")
    assert engine.adapter == str(folder / "one")
    assert _texts(engine) == _texts(TransformersEngine(from_pretrained(folder / "one"))) != plain
    engine.load_adapter(folder / "two")
    assert _texts(engine) == _texts(open_engine(folder / "two"))
    engine.load_adapter(None)
    assert _texts(engine) == plain
    assert engine.model.base is base


def test_scores_and_streams_come_from_the_adapter_too(folder: Path) -> None:
    engine = open_engine(folder / "one")
    before = {s.example_id: s.log_likelihoods for s in engine.score(CHOICES, ScoringConfig())}
    *_, last = engine.stream(PROMPTS[0], GREEDY)
    assert isinstance(last, Written)
    assert last.text == _texts(engine)["p0"]
    engine.load_adapter(folder / "two")
    assert before != {s.example_id: s.log_likelihoods for s in engine.score(CHOICES, ScoringConfig())}


def test_vllm_that_is_not_installed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(RapportError, match=r"vLLM cannot be imported.*or set engine\.kind to transformers"):
        open_engine(folder / "one", EngineConfig(kind="vllm"))


def test_both_engines_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_stand_in(monkeypatch)
    for opened in (ErcModelConfig(base=str(folder / "base")), folder / "one"):
        ours, theirs = open_engine(opened), open_engine(opened, EngineConfig(kind="vllm"))
        for adapter in ("nothing", "two", None):
            if adapter != "nothing":
                ours.load_adapter(adapter and folder / adapter)
                theirs.load_adapter(adapter and folder / adapter)
            assert ours.adapter == theirs.adapter
            mine, yours = ({a.example_id: a for a in e.generate(PROMPTS, GREEDY)} for e in (ours, theirs))
            assert mine == yours
            weighed, likewise = ({s.example_id: s for s in e.score(CHOICES, ScoringConfig())} for e in (ours, theirs))
            for name, scored in weighed.items():
                assert scored.log_likelihoods == pytest.approx(likewise[name].log_likelihoods, abs=2e-3)
        *_, last = theirs.stream(PROMPTS[1], GREEDY)
        assert last == yours["p1"]


def test_vllm_refuses_an_adapter_for_another_base_and_a_base_without_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_stand_in(monkeypatch)
    other = base_folder(folder / "other", seed=3)
    with pytest.raises(RapportError, match="whose weights are not the same"):
        open_engine(ErcModelConfig(base=str(other)), EngineConfig(kind="vllm")).load_adapter(folder / "one")
    with pytest.raises(RapportError, match="the embedded base has no folder"):
        open_engine(ErcModelConfig(base="embedded"), EngineConfig(kind="vllm"))


def _install_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules with those names of vLLM that are used, on our own models, one request at a time."""
    vllm, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    vllm.LLM, vllm.SamplingParams = _Llm, SimpleNamespace  # type: ignore[attr-defined]
    request.LoRARequest = lambda name, number, path: SimpleNamespace(lora_name=name, lora_int_id=number, lora_path=path)  # type: ignore[attr-defined]
    for module in (vllm, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)


class _Llm:
    def __init__(self, *, model: str, enable_lora: bool, **_: Any) -> None:
        assert enable_lora
        self._model = build_model(ErcModelConfig(base=model))

    @torch.no_grad()
    def generate(self, prompts: list[dict[str, list[int]]], sampling: list[Any], *, lora_request: Any, use_tqdm: bool) -> list[Any]:
        from rapport.models.erc.pretrained import load_adapter, remove_adapter

        remove_adapter(self._model)
        if lora_request is not None:
            load_adapter(self._model, lora_request.lora_path)
        self._model.eval()
        return [self._one(prompt["prompt_token_ids"], params) for prompt, params in zip(prompts, sampling, strict=True)]

    def _one(self, ids: list[int], params: Any) -> Any:
        assert params.temperature == 0
        logprobs = None
        if getattr(params, "prompt_logprobs", None) is not None:
            found = self._model.base(torch.tensor([ids])).logits[0].log_softmax(-1)
            logprobs = [None, *({token: SimpleNamespace(logprob=float(found[n, token]))} for n, token in enumerate(ids[1:]))]
            assert all(math.isfinite(v.logprob) for place in logprobs[1:] for v in place.values())  # type: ignore[union-attr]
        written: list[int] = []
        reason = "length"
        while len(written) < params.max_tokens:
            written.append(int(self._model.base(torch.tensor([ids + written])).logits[0, -1].argmax()))
            if written[-1] in getattr(params, "stop_token_ids", ()):
                reason = "stop"
                break
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(written), finish_reason=reason)], prompt_logprobs=logprobs)
