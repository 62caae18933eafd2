"""Configuration: defaults, then a file, then flags; whatever is misspelt is refused by name."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from rapport.core.config import (
    Config,
    ConfigError,
    JobConfig,
    Names,
    dotted_fields,
    dump_config,
    find_preset,
    load_config,
    read_config,
    with_values,
)


class Optim(Config):
    """How to step."""

    lr: float = Field(1e-3, gt=0, le=1)
    """Learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Shape of the schedule."""


class Train(JobConfig):
    """A toy training job."""

    optim: Optim = Optim()
    """The optimiser."""
    epochs: int = Field(3, ge=1)
    """Passes over the data."""
    corpora: tuple[str, ...] = ()
    """Where the data lies."""
    runs: Names = ("first",)
    """Names of runs."""


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("optim:\n  lr: 0.01\nepochs: 7\n")
    return path


def test_flags_win_over_the_file_and_the_file_over_defaults(preset: Path) -> None:
    config = load_config(Train, ["--config", str(preset), "--optim.lr", "0.5"])
    assert (config.optim.lr, config.epochs, config.optim.schedule) == (0.5, 7, "cosine")


def test_the_file_may_come_after_flags_and_with_an_equals_sign(preset: Path) -> None:
    assert load_config(Train, ["--epochs", "2", f"--config={preset}"]).epochs == 2


def test_a_tuple_takes_several_values() -> None:
    assert load_config(Train, ["--corpora", "a", "b"]).corpora == ("a", "b")


def test_names_may_be_separated_by_commas(tmp_path: Path) -> None:
    assert Train().runs == ("first",)
    assert load_config(Train, ["--runs", "a,b", "c"]).runs == ("a", "b", "c")
    assert Train.model_validate({"runs": " a, s3://b/c,"}).runs == ("a", "s3://b/c")
    assert with_values(Train(), {"runs": ["a", "b"]}).runs == ("a", "b")
    (tmp_path / "kept.yaml").write_text(dump_config(Train.model_validate({"runs": "a,b"})))
    assert read_config(Train, tmp_path / "kept.yaml").runs == ("a", "b")


def test_a_misspelt_key_in_a_file_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("optim:\n  learning: 3\n  lrr: 0.1\nepoch: 2\n")
    with pytest.raises(ConfigError) as caught:
        read_config(Train, path)
    message = str(caught.value)
    assert "bad.yaml" in message
    assert "optim.lrr: no such setting; did you mean optim.lr?" in message
    assert "epoch: no such setting; did you mean epochs?" in message


def test_a_misspelt_flag_ends_the_program_and_names_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load_config(Train, ["--optim.lrr", "0.1"])
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert "--optim.lrr" in output.out + output.err
    assert "--optim.lr" in (output.out + output.err).replace("--optim.lrr", "")


def test_a_value_out_of_bounds_names_the_key_and_the_value(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("optim:\n  lr: -1\n")
    with pytest.raises(ConfigError, match=r"optim\.lr: .*greater than 0.*-1"):
        read_config(Train, path)


@pytest.mark.parametrize(
    ("text", "said"), [("- 1\n- 2\n", "mapping"), ("a: [1\n", "cannot read"), ("!!python/object/apply:os.getcwd []", "cannot read")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_config(Train, path)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert read_config(Train, path).epochs == 3


def test_a_dumped_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = Train(optim=Optim(lr=0.25), corpora=("x", "y"), storage="/data")
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_config(config))
    assert read_config(Train, path) == config


def test_an_unknown_preset_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="neither a file nor a preset"):
        find_preset("nonesuch", "train_ser")


def test_config_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="--config"):
        load_config(Train, ["--config"])


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Train().__setattr__("epochs", 4)


def test_dotted_values_replace_nested_fields_and_are_checked() -> None:
    config = with_values(Train(), {"optim.lr": 0.125, "epochs": 9})
    assert (config.optim.lr, config.epochs) == (0.125, 9)
    with pytest.raises(ConfigError, match=r"did you mean optim\.lr"):
        with_values(Train(), {"optim.rl": 0.1})
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        with_values(Train(), {"optim.lr": 7.0})
    with pytest.raises(ConfigError, match="no such setting"):
        with_values(Train(), {"epochs.lr": 1})


def test_every_field_has_a_dotted_name() -> None:
    nested = ["optim", "optim.lr", "optim.schedule"]
    assert [name for name, _, _ in dotted_fields(Train)] == ["storage", "seed", *nested, "epochs", "corpora", "runs"]


def test_help_shows_the_sentence_under_each_field_and_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load_config(Train, ["--help"], job="train_ser")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "Learning rate." in text
    assert "Passes over the data." in text
    assert "--config" in text


def test_the_storage_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STORAGE", "s3://bucket/rapport")
    assert Train().storage == "s3://bucket/rapport"
    monkeypatch.delenv("RAPPORT_STORAGE")
    assert Train().storage == "~/rapport"
