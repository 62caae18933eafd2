"""Language models of emotions in conversations: built, saved and loaded.

config.json            settings, which base model, how it was saved; written last
adapter/               adapters in PEFT form, when there are any
base/                  the language model and its tokenizer as Hugging Face keeps them; left out where adapters go with a published base,
                       of which config.json then holds the id or folder and hashes of its config, tokenizer and weights
model.safetensors      empty: everything lies in the folders
README.md, metrics.json
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.adapters import Adapters, drop_adapters, has_adapters, load_adapters, put_adapters, read_adapters, save_adapters
from rapport.models.backends.llm.base import check_reference, load_base, load_tokenizer, quiet, readable, reference_of, save_base
from rapport.models.backends.llm.config import BaseReference
from rapport.models.backends.llm.embedded import write_embedded
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import ErcModelConfig
from rapport.models.saving import ModelError, load_folder, save_folder

KIND = "coe"
_BASE, _ADAPTER, _CONFIG = "base", "adapter", "config.json"
_PEFT_CONFIG = "adapter_config.json"


def build_model(
    config: ErcModelConfig,
    texts: Iterable[str] = (),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    tokenizer: str | Path | None = None,
) -> ErcModel:
    """A model before any training, on the CPU.

    `texts` train the tokenizer of the embedded base, unless `tokenizer` names the folder of one that is ready; its weights are drawn by
    the seed. Other bases read neither. Raises RapportError when the base cannot be loaded.
    """
    if config.is_embedded:
        with tempfile.TemporaryDirectory() as folder, quiet():
            write_embedded(folder, texts, config.embedded, seed, tokenizer)
            tokenizer, base = load_base(folder, None, dtype)
        return ErcModel(base, tokenizer, config)
    tokenizer, base = load_base(config.base, config.revision, dtype)
    return ErcModel(base, tokenizer, config, reference_of(config.base, config.revision))


def save_pretrained(
    model: ErcModel,
    folder: str | Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    whole: bool = False,
    facts: Mapping[str, Any] | None = None,
    card: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write the model folder (path or URI); it is complete when `config.json` is there.

    Adapters on a base that is still the one it was loaded from are saved alone, with a reference to it, unless `whole` says otherwise;
    any other model is saved with all weights. `weights` by the names of `model.state_dict()` replace the model's own: those of a sharded
    training, put together. `facts` (JSON) are kept under `facts`: what the model was made from.
    """
    weights = model.state_dict() if weights is None else weights
    whole = whole or model.reference is None or not has_adapters(model.base)
    storage.remove(storage.join(folder, _CONFIG))
    base = {k.removeprefix("base."): v for k, v in weights.items()}
    if storage.is_local(folder):
        _save_weights(model, storage.local_copy(folder), base, whole)
    else:
        with tempfile.TemporaryDirectory() as local:
            _save_weights(model, Path(local), base, whole)
            storage.put_folder(local, folder)
    saved = {
        "model": model.settings.model_dump(mode="json"),
        "whole": whole,
        "adapters": has_adapters(model.base),
        "reference": model.reference.model_dump(mode="json") if model.reference and not whole else None,
        "facts": dict(facts or {}),
    }
    save_folder(folder, KIND, saved, {}, card=card or plain_card(model.settings), metrics=metrics)


def copy_pretrained(source: str, target: str, *, with_base: bool = False, facts: Mapping[str, Any] | None = None) -> None:
    """Copy a model folder, complete when `config.json` is there; `facts` are put over those that it has.

    `with_base` puts the base model that adapters refer to beside them, so that they no longer need it where it was. Raises RapportError
    when the base is not the one that they were made for.
    """
    local, _, saved = _read(source)
    storage.remove(target)
    for path in sorted(local.rglob("*")):
        if path.is_file() and path != local / _CONFIG:
            place = storage.join(target, path.relative_to(local).as_posix())
            if storage.is_local(target):
                storage.copy_file(path, place)
            else:
                storage.write_bytes(place, path.read_bytes())
    if with_base and not saved["whole"]:
        reference = _reference(saved, source)
        check_reference(reference, reference_of(reference.source, reference.revision), source)
        tokenizer, base = load_base(reference.source, reference.revision)
        with tempfile.TemporaryDirectory() as folder:
            save_base(base, tokenizer, Path(folder), base.state_dict())
            storage.put_folder(folder, storage.join(target, _BASE))
        saved |= {"whole": True, "reference": None}
    saved["facts"] = {**saved.get("facts", {}), **(facts or {})}
    storage.write_json(storage.join(target, _CONFIG), saved)


def from_pretrained(folder: str | Path, dtype: torch.dtype = torch.float32, *, base: str = "") -> ErcModel:
    """The saved model, on the CPU, in evaluation mode.

    `base` tells where the base model of adapters lies now. Raises RapportError when the folder is absent or incomplete, when a weight is
    missing, superfluous or of another shape, or when the base is not the one that the adapters were made for.
    """
    local, config, saved = _read(folder)
    reference = _reference(saved, folder)
    if saved["whole"]:
        tokenizer, network = load_base(str(local / _BASE), None, dtype)
    else:
        source, revision = base or reference.source, None if base else reference.revision
        check_reference(reference, reference_of(source, revision), folder)
        tokenizer, network = load_base(source, revision, dtype)
    model = ErcModel(network, tokenizer, config, reference)
    if saved["adapters"]:
        load_adapters(model.base, local / _ADAPTER)
    return model.eval()


def load_collator(folder: str | Path) -> ErcCollator:
    """How a saved model makes ids of prompts and answers, without its weights: what counts tokens.

    Raises RapportError when the folder is absent or incomplete, or the tokenizer of its base cannot be loaded.
    """
    _, config, saved = _read(folder)
    reference = None if saved["whole"] else BaseReference.model_validate(saved["reference"])
    source, revision = (reference.source, reference.revision) if reference else (storage.join(folder, _BASE), None)
    tokenizer = load_tokenizer(source, revision)
    ensure_pad(tokenizer)
    return ErcCollator(tokenizer, config.tokens)


def load_adapter(model: ErcModel, folder: str | Path) -> None:
    """Put the adapters of a saved model, or of a folder in PEFT form, in place of those that the model has; its base stays loaded.

    Raises RapportError when they were made for another base model, or when the folder holds none. The model is then as it was, or without
    adapters.
    """
    use_adapter(model, read_adapter(model, folder))


def read_adapter(model: ErcModel, folder: str | Path) -> Adapters:
    """The adapters of a saved model, or of a folder in PEFT form, in memory.

    Raises RapportError when they were made for another base model, or when the folder holds none.
    """
    return read_adapters(adapter_folder(model.reference, folder))


def use_adapter(model: ErcModel, adapters: Adapters | None) -> None:
    """Put adapters in place of those that the model has; None takes them away.

    Raises RapportError when they do not fit; the model is then without any.
    """
    if adapters is None:
        remove_adapter(model)
        return
    try:
        put_adapters(model.base, adapters)
    except RapportError:
        remove_adapter(model)
        raise
    model.eval()


def remove_adapter(model: ErcModel) -> None:
    """Take away the adapters, if there are any, without merging them."""
    if has_adapters(model.base):
        drop_adapters(model.base)


def adapter_folder(reference: BaseReference | None, folder: str | Path) -> Path:
    """A local folder in PEFT form, of a model folder or such a folder itself, for the base model that `reference` names.

    Raises RapportError when there is none, or when it was made for another base model.
    """
    if not storage.exists(storage.join(folder, _CONFIG)) and storage.exists(storage.join(folder, _PEFT_CONFIG)):
        return storage.local_copy(folder)
    local, _, saved = _read(folder)
    if not saved["adapters"]:
        raise ModelError(f"{folder} holds a whole model and no adapter: load it as a model")
    wanted = _reference(saved, folder)
    if reference is None:
        raise RapportError(
            f"the adapter in {folder} was made for {wanted.source!r}, and the weights of this model are not those of any base: save it, "
            "and load it from there"
        )
    check_reference(wanted, reference, folder)
    return local / _ADAPTER


def plain_card(config: ErcModelConfig) -> str:
    """A model card with what is known without a training."""
    return (
        "---\nlibrary_name: rapport\npipeline_tag: text-generation\ntags: [emotion, conversation]\n---\n"
        "# Language model of emotions in conversations\n\n"
        f"Tells the emotion of a line in a conversation, and why. Base `{config.base}`.\n\n"
        "```python\nfrom rapport.models.erc.pretrained import from_pretrained\n\n"
        'model = from_pretrained("<this folder>")\n```\n'
    )


def _read(folder: str | Path) -> tuple[Path, ErcModelConfig, dict[str, Any]]:
    local, saved, _ = load_folder(folder, KIND)
    try:
        return local, ErcModelConfig.model_validate(saved["model"]), saved
    except (KeyError, ValueError) as error:
        raise ModelError(f"{folder}/{_CONFIG} was written by another version ({saved.get('rapport_version')}): {error}") from error


def _reference(saved: Mapping[str, Any], folder: str | Path) -> BaseReference:
    """Of the base that the saved adapters sit on, or that more adapters could: of a model saved whole, its own."""
    return reference_of(storage.join(folder, _BASE)) if saved["whole"] else BaseReference.model_validate(saved["reference"])


def _save_weights(model: ErcModel, folder: Path, weights: Mapping[str, Tensor], whole: bool) -> None:
    """Write `base/` where it is wanted and `adapter/` where there is one, given the weights by the base model's names."""
    for stale in (_BASE, _ADAPTER):
        storage.remove(folder / stale)
    if whole:
        save_base(model.base, model.tokenizer, folder / _BASE, weights)
    if has_adapters(model.base):
        save_adapters(model.base, folder / _ADAPTER, dict(weights))
        readable(folder / _ADAPTER)
