"""What writes and scores for self-training, evaluation and serving: one interface, behind it `transformers` or vLLM.

    engine = open_engine("runs/coe/speaker", EngineConfig())
    for answer in engine.generate([Prompt(id, text)], ErcGenerationConfig()): ...
    engine.load_adapter("runs/coe/steer-round-3")

The base model is loaded once; adapters are exchanged below it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.adapters import Adapters, has_adapters
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.generation import ErcGenerator, Prompt, Written
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ScoringConfig
from rapport.models.erc.pretrained import build_model, from_pretrained, read_adapter, use_adapter
from rapport.models.erc.scoring import Choice, ErcScorer, Scored


class RolloutEngine(Protocol):
    """Answers many prompts. Results come in an order of their own: join them by `example_id`."""

    @property
    def collator(self) -> ErcCollator:
        """How prompts become ids; counts tokens for truncation."""
        ...

    @property
    def adapter(self) -> str | None:
        """The folder whose adapters were loaded last; None where it is the model that was opened."""
        ...

    def generate(self, prompts: Sequence[Prompt], config: ErcGenerationConfig) -> Iterator[Written]:
        """Answers to the prompts, as many to each as `samples` says."""
        ...

    def stream(self, prompt: Prompt, config: ErcGenerationConfig) -> Iterator[str | Written]:
        """One answer in pieces as it is written, and as a whole last."""
        ...

    def stream_batch(
        self, prompts: Sequence[Prompt], config: ErcGenerationConfig, gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, str | Written]]]:
        """The answers of one batch as they are written together: at each step, which prompts have something new and what it is.

        The last of a prompt is its whole answer; one of which `gone` says so leaves without it. Between two steps the engine may do
        something else, also with other adapters, as long as those of this batch are back before the next.
        """
        ...

    def score(self, choices: Sequence[Choice], config: ScoringConfig) -> Iterator[Scored]:
        """How likely each answer of a closed set is."""
        ...

    def read_adapter(self, folder: str | Path) -> Any:
        """The adapters of a folder, ready for `use_adapter`, which puts them on without reading anything.

        Raises RapportError when they were made for another base model.
        """
        ...

    def use_adapter(self, adapter: Any | None) -> None:
        """Put adapters that were read in place of those there are; None takes them away. To name those in use again costs nothing.

        Raises RapportError when they do not fit; there are none then.
        """
        ...

    def load_adapter(self, folder: str | Path | None) -> None:
        """Read the adapters of a folder and use them; None takes those there are away. The base stays loaded.

        Raises RapportError when they were made for another base model.
        """
        ...


def open_engine(model: str | Path | ErcModelConfig, config: EngineConfig | None = None, *, base: str = "") -> RolloutEngine:
    """The engine of a model folder, or of a base model before any training.

    `base` tells where the base model of adapters lies now. Raises RapportError when the model cannot be loaded, or vLLM is asked for and
    not installed.
    """
    config = config or EngineConfig()
    if config.kind == "vllm":
        from rapport.models.erc.vllm_engine import open_vllm

        return open_vllm(model, config, base=base)
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device)
    on_gpu = where.type == "cuda"
    dtype = torch.bfloat16 if config.dtype == "bfloat16" or (config.dtype == "auto" and on_gpu) else torch.float32
    loaded = build_model(model, dtype=dtype) if isinstance(model, ErcModelConfig) else from_pretrained(model, dtype, base=base)
    return TransformersEngine(loaded.to(where))


class TransformersEngine:
    """A `RolloutEngine` on a model in this process."""

    def __init__(self, model: ErcModel) -> None:
        self.model = model.eval()
        self.collator = model.collator()
        self.adapter: str | None = None
        self._used: Adapters | None = None

    def generate(self, prompts: Sequence[Prompt], config: ErcGenerationConfig) -> Iterator[Written]:
        """As `RolloutEngine.generate`."""
        return ErcGenerator(self.model, config).generate(prompts)

    def stream(self, prompt: Prompt, config: ErcGenerationConfig) -> Iterator[str | Written]:
        """As `RolloutEngine.stream`."""
        return ErcGenerator(self.model, config).stream(prompt)

    def stream_batch(
        self, prompts: Sequence[Prompt], config: ErcGenerationConfig, gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, str | Written]]]:
        """As `RolloutEngine.stream_batch`."""
        return ErcGenerator(self.model, config).stream_batch(prompts, gone)

    def score(self, choices: Sequence[Choice], config: ScoringConfig) -> Iterator[Scored]:
        """As `RolloutEngine.score`."""
        return ErcScorer(self.model, config).score(choices)

    def read_adapter(self, folder: str | Path) -> Adapters:
        """As `RolloutEngine.read_adapter`."""
        return read_adapter(self.model, folder)

    def use_adapter(self, adapter: Adapters | None) -> None:
        """As `RolloutEngine.use_adapter`."""
        if adapter is not self._used or (adapter is None and has_adapters(self.model.base)):
            self._used = None
            use_adapter(self.model, adapter)
            self._used = adapter

    def load_adapter(self, folder: str | Path | None) -> None:
        """As `RolloutEngine.load_adapter`."""
        self.use_adapter(None if folder is None else self.read_adapter(folder))
        self.adapter = None if folder is None else str(folder)


def model_settings(model: str | Path | ErcModelConfig) -> tuple[ErcModelConfig, dict[str, Any] | None]:
    """Settings of a model folder or base, and of a folder what its config.json holds.

    Raises RapportError when it is no model folder.
    """
    if isinstance(model, ErcModelConfig):
        return model, None
    file = storage.join(model, "config.json")
    if not storage.exists(file):
        raise RapportError(f"model folder {model} has no config.json: name one that train_coe saved")
    saved = storage.read_json(file)
    return ErcModelConfig.model_validate(saved["model"]), saved
