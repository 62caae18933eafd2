"""Pretrained causal language models, from the hub or a folder, and back into a folder that other tools read."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import cached_file, logging

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.adapters import is_adapter, plain_name
from rapport.models.backends.llm.config import BaseReference

_MAX_SHARD = "5GB"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_VOLATILE = ("transformers_version", "_name_or_path")
"""Keys of config.json that change when a tool writes the same model again."""


def load_base(source: str, revision: str | None = None, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Tokenizer and language model of a hub id, folder or URI, safetensors only: other formats can run code while they load.

    Raises RapportError when it is not there, or when weights are missing or of another shape.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(_local(source), revision=revision)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                _local(source), revision=revision, dtype=dtype, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError) as error:
        raise RapportError(
            f"cannot load the language model {source!r}: {error}\nName a hub id or a folder saved with save_pretrained (config.json, "
            "model.safetensors, tokenizer files), or `embedded`, in the setting base"
        ) from error
    base, report = loaded
    wrong = sorted({*report["missing_keys"], *(str(k) for k in report["mismatched_keys"])})
    if wrong:
        raise RapportError(f"{source!r} lacks {len(wrong)} weights, such as {wrong[0]}: its config.json is of another model")
    return tokenizer, base


def load_tokenizer(source: str, revision: str | None = None) -> Any:
    """The tokenizer of a hub id, folder or URI, alone.

    Raises RapportError when it is not there.
    """
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(_local(source), revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise RapportError(
            f"cannot load the tokenizer {source!r}: {error}\nName a hub id or a folder with tokenizer files, or `embedded`"
        ) from error


def save_base(base: Any, tokenizer: Any, folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write network and tokenizer into a local folder; `weights`, by the network's own names, are those to write.

    Adapters are left out, and the names of the layers below them are as they were before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.safetensors*"):
        stale.unlink()
    base.config.save_pretrained(folder)
    if base.generation_config is not None:
        base.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    own = {plain_name(k): v.detach().cpu() for k, v in weights.items() if not is_adapter(k)}
    if base.config.tie_word_embeddings:
        # Of matrices that are one, the input's is kept: a network without an output reads the folder too. Gathered weights no longer
        # share memory, which is how the writer would notice.
        for tied in base._tied_weights_keys or ():
            own.pop(tied, None)
    save_torch_state_dict(own, folder, max_shard_size=_MAX_SHARD, metadata={"format": "pt"})
    readable(folder)


def readable(folder: Path) -> None:
    """Give the weights in a folder the permissions of its config: their writer makes files that only their owner may read."""
    for file in folder.glob("*.safetensors"):
        file.chmod(next(folder.glob("*config.json")).stat().st_mode)


def reference_of(source: str, revision: str | None = None) -> BaseReference:
    """What tells this language model from every other; of its weights only two rows each are read.

    Raises RapportError when its files are not there.
    """
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(_local(source), revision=revision)
            config = json.loads(_file(source, "config.json", revision).read_text())
            files = _weight_files(source, revision)
    except (OSError, ValueError) as error:
        raise RapportError(f"cannot read the files of the language model {source!r}: {error}") from error
    special = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token]
    return BaseReference(
        source=source,
        revision=revision,
        config=_sha256({k: v for k, v in config.items() if k not in _VOLATILE}),
        vocabulary=_sha256([sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]), special]),
        weights=_weights_hash(files),
    )


def check_reference(wanted: BaseReference, found: BaseReference, folder: object) -> None:
    """Raises RapportError when adapters in `folder`, made for one language model, meet another."""
    names = {"config": "config.json", "vocabulary": "tokenizer", "weights": "weights"}
    differ = [name for field, name in names.items() if getattr(wanted, field) != getattr(found, field)]
    if differ:
        at = f" at {wanted.revision}" if wanted.revision else ""
        raise RapportError(
            f"the adapter in {folder} was made for the language model {wanted.source!r}{at}, and this is {found.source!r}, whose "
            f"{' and '.join(differ)} are not the same: set base to the one that it was made for"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars that say that weights are loaded: a small model is loaded at once, and every worker would draw one."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _local(source: str) -> str:
    return str(storage.local_copy(source)) if "://" in source else source


def _file(source: str, name: str, revision: str | None) -> Path:
    found = cached_file(_local(source), name, revision=revision)
    assert found is not None  # it raises where there is none
    return Path(found)


def _weight_files(source: str, revision: str | None) -> list[Path]:
    index = cached_file(_local(source), _INDEX, revision=revision, _raise_exceptions_for_missing_entries=False)
    if index is None:
        return [_file(source, _WEIGHTS, revision)]
    shards = sorted(set(json.loads(Path(index).read_text())["weight_map"].values()))
    return [_file(source, shard, revision) for shard in shards]


def _weights_hash(files: list[Path]) -> str:
    rows: dict[str, list[Any]] = {}
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # no mapping: it has no iterator
                piece = tensors.get_slice(name)
                shape = piece.get_shape()
                ends = [piece[:1], piece[-1:]] if shape and shape[0] else [tensors.get_tensor(name)]
                raw = b"".join(end.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for end in ends)
                rows[name] = [shape, piece.get_dtype(), hashlib.sha256(raw).hexdigest()]
    return _sha256(sorted(rows.items()))


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
