"""Speech language models built, saved and loaded.

config.json            settings, lineage, hash of the tokens; written last
tokens.json            every added token with its id
base/                  the language model and its tokenizer as Hugging Face keeps them: other tools load this folder by itself
adapter/               adapters in PEFT form, when there are any; the weights in base/ are then those below them
model.safetensors      the injection
README.md, metrics.json
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rapport.core import storage
from rapport.models.adapters import has_adapters, load_adapters, save_adapters
from rapport.models.backends.llm.base import load_base, quiet, readable, save_base
from rapport.models.backends.llm.embedded import write_embedded
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.lineage import Lineage
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.tokens import check_manifest, extend_tokenizer
from rapport.models.saving import ModelError, load_folder, load_strict, save_folder

KIND = "emosds"
TOKENS = "tokens.json"
_BASE, _ADAPTER = "base", "adapter"


def build_model(config: EmosdsConfig, texts: Iterable[str] = (), seed: int = 0) -> SpeechLanguageModel:
    """A model before any stage: the base with its vocabulary extended, in float32 on the CPU.

    `texts` train the tokenizer of the embedded base; others do not read them. What is new is drawn by the seed: rows of the
    embeddings with deviation `initializer_range` of the base, the injection, and all of the embedded base. Raises RapportError when the
    base cannot be loaded.
    """
    if config.is_embedded:
        with tempfile.TemporaryDirectory() as folder, quiet():
            write_embedded(folder, texts, config.embedded, seed)
            tokenizer, base = load_base(folder, None)
    else:
        tokenizer, base = load_base(config.base, config.revision)
    manifest = extend_tokenizer(tokenizer, config.clusters, config.emotions)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed + 1)
        if base.get_input_embeddings().num_embeddings < manifest.size:
            # Mean resizing would draw from a normal distribution in all dimensions, which takes minutes at 128 k x 3072.
            base.resize_token_embeddings(manifest.size, mean_resizing=False)
        base.config.pad_token_id = manifest.pad
        return SpeechLanguageModel(base, tokenizer, manifest, config)


def save_pretrained(
    model: SpeechLanguageModel,
    folder: str | Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    lineage: Lineage | None = None,
    card: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write the model folder (path or URI); it is complete when `config.json` is there.

    `weights` by the names of `model.state_dict()` replace the model's own: those of a sharded training, put together. `lineage`
    replaces the model's.
    """
    weights = model.state_dict() if weights is None else weights
    lineage = lineage or model.lineage
    storage.remove(storage.join(folder, "config.json"))
    base = {k.removeprefix("base."): v for k, v in weights.items() if k.startswith("base.")}
    injection = {k.removeprefix("injection."): v for k, v in weights.items() if k.startswith("injection.")}
    if storage.is_local(folder):
        _save_base(model, storage.local_copy(folder), base)
    else:
        with tempfile.TemporaryDirectory() as local:
            _save_base(model, Path(local), base)
            storage.put_folder(local, folder)
    storage.write_json(storage.join(folder, TOKENS), model.manifest.to_json())
    facts = {
        "model": model.settings.model_dump(mode="json"),
        "lineage": lineage.model_dump(mode="json"),
        "tokens_hash": model.manifest.hash,
        "adapters": has_adapters(model.base),
    }
    save_folder(folder, KIND, facts, injection, card=card or plain_card(model.settings, lineage), metrics=metrics)


def from_pretrained(folder: str | Path, dtype: torch.dtype = torch.float32) -> SpeechLanguageModel:
    """The saved model, on the CPU, in evaluation mode.

    Raises RapportError when the folder is absent or incomplete, when a weight is missing, superfluous or of another shape, or when its
    tokenizer is not the one that it was saved with.
    """
    local, saved, injection = load_folder(folder, KIND)
    try:
        config = EmosdsConfig.model_validate(saved["model"])
        lineage = Lineage.model_validate(saved["lineage"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{folder}/config.json was written by another version ({saved.get('rapport_version')}): {error}") from error
    tokenizer, base = load_base(str(local / _BASE), None, dtype)
    manifest = check_manifest(storage.read_json(local / TOKENS), tokenizer, config.clusters, config.emotions, folder)
    if saved["adapters"]:
        load_adapters(base, local / _ADAPTER)
    model = SpeechLanguageModel(base, tokenizer, manifest, config, lineage)
    load_strict(model.injection, injection, folder)
    return model.eval()


def plain_card(config: EmosdsConfig, lineage: Lineage) -> str:
    """A model card with what is known without a training."""
    does = {0: "Untrained.", 1: "Writes what is said.", 2: "Tells the emotion of speech and writes what is said."}
    return (
        "---\nlibrary_name: rapport\npipeline_tag: audio-text-to-text\ntags: [speech, emotion, dialogue]\n---\n# Speech language model\n\n"
        f"{does.get(lineage.stage, 'Hears emotion and words, and answers with an emotion and words.')} Base `{config.base}`, "
        f"{config.clusters} units, hears {config.inputs}; emotions {', '.join(config.emotions)}.\n\n"
        "```python\nfrom rapport.models.emosds.pretrained import from_pretrained\n\n"
        'model = from_pretrained("<this folder>")\n```\n'
    )


def _save_base(model: SpeechLanguageModel, folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write `base/` and `adapter/`, given the weights by the base model's names."""
    save_base(model.base, model.tokenizer, folder / _BASE, weights)
    storage.remove(folder / _ADAPTER)
    if has_adapters(model.base):
        save_adapters(model.base, folder / _ADAPTER, dict(weights))
        readable(folder / _ADAPTER)
