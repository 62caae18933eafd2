"""References to base models: the same for a copy, another for every change."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.backends.llm.base import load_base, reference_of, save_base
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded

SIZES = EmbeddedLlamaConfig(hidden=16, layers=1, heads=2, mlp=16, vocabulary=300)
HASHES = ("config", "vocabulary", "weights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_embedded(tmp_path / "base", ["a few words", "and more of them"], SIZES)


def test_a_copy_elsewhere_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"transformers_version": "0.0"}))
    first, copy = reference_of(str(folder)), reference_of(str(tmp_path / "copy"))
    assert first.source != copy.source
    assert all(getattr(first, name) == getattr(copy, name) for name in HASHES)


def test_other_weights_words_and_settings_are_other_models(folder: Path, tmp_path: Path) -> None:
    first = reference_of(str(folder))
    texts = ["a few words", "and more of them"]
    found = {
        "weights": reference_of(str(write_embedded(tmp_path / "w", texts, SIZES, seed=1))),
        "vocabulary": reference_of(str(write_embedded(tmp_path / "v", ["nothing alike whatsoever, alike"], SIZES))),
    }
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    found["config"] = reference_of(str(folder))
    for name, reference in found.items():
        assert getattr(reference, name) != getattr(first, name)
    assert (found["weights"].config, found["weights"].vocabulary) == (first.config, first.vocabulary)
    assert (found["config"].vocabulary, found["config"].weights) == (first.vocabulary, first.weights)


def test_shards_are_one_model_with_the_same_hash(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, base = load_base(str(folder))
    save_base(base, tokenizer, tmp_path / "one", base.state_dict())
    monkeypatch.setattr("rapport.models.backends.llm.base._MAX_SHARD", "10KB")
    save_base(base, tokenizer, tmp_path / "shards", base.state_dict())
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert reference_of(str(tmp_path / "shards")).weights == reference_of(str(tmp_path / "one")).weights
    again = load_base(str(tmp_path / "shards"))[1]
    assert all(torch.equal(a, b) for a, b in zip(base.parameters(), again.parameters(), strict=True))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot load the language model"):
        load_base(str(tmp_path))
    with pytest.raises(RapportError, match="cannot read the files of the language model"):
        reference_of(str(tmp_path / "none"))
