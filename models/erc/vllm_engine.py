"""A `RolloutEngine` on vLLM, which is imported when one is opened: it is no dependency, and needs a GPU.

Prompts go in as ids of our own collator, so that both engines read the same. vLLM puts requests together by itself and shares the work
on equal beginnings of prompts.
"""

import importlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.backends.llm.base import check_reference, reference_of
from rapport.models.backends.llm.config import BaseReference
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.engine import model_settings
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ScoringConfig
from rapport.models.erc.pretrained import adapter_folder
from rapport.models.erc.scoring import Choice, Scored, check_choices, scored


def open_vllm(model: str | Path | ErcModelConfig, config: EngineConfig, *, base: str = "") -> "VllmEngine":
    """The engine of a model folder, or of a base model before any training.

    Raises RapportError when vLLM is not installed, or for the embedded base before it was saved.
    """
    try:
        vllm: Any = importlib.import_module("vllm")
    except ImportError as error:
        raise RapportError(
            f"engine.kind is 'vllm', and vLLM cannot be imported ({error}): install the one for our torch into an environment with a GPU "
            "(pip install 'vllm==0.26.*'), or set engine.kind to transformers"
        ) from error
    settings, saved = model_settings(model)
    if saved is None and settings.is_embedded:
        raise RapportError("the embedded base has no folder that vLLM could load: save the model first, or set engine.kind to transformers")
    revision = None
    if saved is None:
        source, revision = settings.base, settings.revision
    elif saved["whole"]:
        source = str(storage.local_copy(model) / "base")  # type: ignore[arg-type]  # a folder where it holds a config.json
    else:
        wanted = BaseReference.model_validate(saved["reference"])
        source, revision = base or wanted.source, None if base else wanted.revision
        check_reference(wanted, reference_of(source, revision), model)
    engine = VllmEngine(vllm, settings, config, source, revision)
    if saved is not None and saved["adapters"]:
        engine.load_adapter(model)  # type: ignore[arg-type]
        engine.adapter = None
    return engine


class VllmEngine:
    """Answers prompts with vLLM."""

    def __init__(self, vllm: Any, settings: ErcModelConfig, config: EngineConfig, source: str, revision: str | None) -> None:
        self._vllm = vllm
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        ensure_pad(tokenizer)
        self.collator = ErcCollator(tokenizer, settings.tokens)
        self.adapter: str | None = None
        self._reference = reference_of(source, revision)
        self._tokenizer = tokenizer
        self._request: Any = None
        self._loaded = 0
        self._llm = vllm.LLM(
            model=source,
            revision=revision,
            dtype=config.dtype,
            # The room that long contexts would take up is room for more rows.
            max_model_len=config.max_context,
            gpu_memory_utilization=config.memory_share,
            enable_lora=True,
            max_lora_rank=config.max_lora_rank,
            enable_prefix_caching=True,
        )

    def generate(self, prompts: Sequence[Prompt], config: ErcGenerationConfig) -> Iterator[Written]:
        """As `RolloutEngine.generate`; equal seeds give equal answers on this engine, and others than the other engine draws."""
        ids = self.collator.prompt_ids([prompt.text for prompt in prompts])
        asked = [(prompt, row, sample) for prompt, row in zip(prompts, ids, strict=True) for sample in range(config.samples)]
        found = self._run([row for _, row, _ in asked], [self._sampling(config, prompt, sample) for prompt, _, sample in asked])
        for (prompt, row, sample), output in zip(asked, found, strict=True):
            answer = output.outputs[0]
            text = self.collator.decode(list(answer.token_ids))
            yield Written(prompt.example_id, text, len(answer.token_ids), answer.finish_reason == "stop", len(row), sample)

    def stream(self, prompt: Prompt, config: ErcGenerationConfig) -> Iterator[str | Written]:
        """As `RolloutEngine.stream`, in one piece: vLLM's offline engine gives whole answers only."""
        answer = next(self.generate([prompt], config))
        yield answer.text
        yield answer

    def stream_batch(
        self, prompts: Sequence[Prompt], config: ErcGenerationConfig, gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, str | Written]]]:
        """As `RolloutEngine.stream_batch`, in one step."""
        found = enumerate(self.generate(prompts, config.model_copy(update={"samples": 1})))
        yield [item for row, answer in found if not (gone and gone(row)) for item in ((row, answer.text), (row, answer))]

    def score(self, choices: Sequence[Choice], config: ScoringConfig) -> Iterator[Scored]:
        """As `RolloutEngine.score`."""
        check_choices(choices)
        prompts = self.collator.prompt_ids([choice.text for choice in choices])
        answers = [self.collator.answer_ids(choice.labels, end=config.end) for choice in choices]
        rows = [[*prompt, *answer] for prompt, mine in zip(prompts, answers, strict=True) for answer in mine]
        # vLLM gives likelihoods of what was read only along with a token that is written.
        sampling = self._vllm.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        found = iter(self._run(rows, [sampling] * len(rows)))
        for choice, prompt, mine in zip(choices, prompts, answers, strict=True):
            sums = []
            for answer in mine:
                read = next(found).prompt_logprobs[len(prompt) :]
                sums.append(sum(place[int(token)].logprob for place, token in zip(read, answer, strict=True)))
            yield scored(choice, sums, [len(answer) for answer in mine], len(prompt), config)

    def load_adapter(self, folder: str | Path | None) -> None:
        """As `RolloutEngine.load_adapter`."""
        self.use_adapter(None if folder is None else self.read_adapter(folder))
        self.adapter = None if folder is None else str(folder)

    def read_adapter(self, folder: str | Path) -> Any:
        """As `RolloutEngine.read_adapter`; vLLM reads the weights itself, and keeps those that it used last."""
        local = adapter_folder(self._reference, folder)
        self._loaded += 1  # vLLM keeps adapters by number: an old one would answer for a folder that was written anew
        lora = importlib.import_module("vllm.lora.request")
        return lora.LoRARequest(f"adapter-{self._loaded}", self._loaded, str(local))

    def use_adapter(self, adapter: Any | None) -> None:
        """As `RolloutEngine.use_adapter`."""
        self._request = adapter

    def _sampling(self, config: ErcGenerationConfig, prompt: Prompt, sample: int) -> Any:
        return self._vllm.SamplingParams(
            temperature=config.temperature,
            top_k=config.top_k or -1,
            top_p=config.top_p,
            max_tokens=config.max_new_tokens,
            seed=zlib.crc32(f"{config.seed}/{prompt.example_id}/{sample}".encode()),
            stop_token_ids=[self.collator.eos],
        )

    def _run(self, rows: Sequence[Any], sampling: list[Any]) -> list[Any]:
        prompts = [{"prompt_token_ids": [int(token) for token in row]} for row in rows]
        found: list[Any] = self._llm.generate(prompts, sampling, lora_request=self._request, use_tqdm=False)
        return found
