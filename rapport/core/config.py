"""One dialect of configuration: a frozen pydantic class, one YAML preset that holds what differs, then dotted flags.

    config = load_config(TrainConfig)        # defaults < --config embedded < --optim.lr 3e-4

Every field carries a sentence under it, which becomes its `--help`. Unknown keys and flags are refused by name.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import tyro
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rapport.core.errors import RapportError

_PRESETS = Path(__file__).resolve().parents[1] / "ray_jobs" / "configs"
if not _PRESETS.is_dir():
    _PRESETS = Path(__file__).resolve().parents[2] / "ray_jobs" / "configs"


class ConfigError(RapportError):
    """A configuration file or flag that cannot be used."""


class Config(BaseModel):
    """Base of all configuration: frozen, unknown keys refused, a sentence under every field."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), validate_default=True)


class JobConfig(Config):
    """What every job takes."""

    storage: str = Field(default_factory=lambda: os.environ.get("RAPPORT_STORAGE", "~/rapport"))
    """Root of all outputs: a folder, or an object-store URI such as s3://bucket/rapport."""
    seed: int = 0
    """Seed of everything random in this job."""


def _names(value: Any) -> Any:
    parts = [value] if isinstance(value, str) else value
    return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""The type of a field that takes several names, as a list or separated by commas."""

AS_TEXT = BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)
"""Annotates a field of words of which some are digits, which YAML reads as numbers."""

ConfigT = TypeVar("ConfigT", bound=Config)


def load_config(
    kind: type[ConfigT], argv: Sequence[str] | None = None, *, job: str | None = None, description: str | None = None
) -> ConfigT:
    """The configuration of a command line: class defaults, then `--config`, then flags.

    `--config` takes a file, or the name of a preset in `ray_jobs/configs/<job>/`. Prints help and exits on `--help`, and exits with
    status 2 on a bad flag, as command lines do. Raises ConfigError for a bad file.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    args, chosen = _take_config_flag(args)
    default: Any = tyro.MISSING_NONPROP if chosen is None else read_config(kind, find_preset(chosen, job))
    presets = (
        f"\n\n--config FILE|PRESET   start from a YAML file or a preset ({', '.join(preset_names(job)) or 'none shipped'})" if job else ""
    )
    annotated: Any = Annotated[kind, tyro.conf.CascadeSubcommandArgs]
    return tyro.cli(
        annotated,
        prog=f"python -m rapport.ray_jobs.{job}" if job else None,
        description=(description or kind.__doc__ or "").strip() + presets,
        args=args,
        default=default,
    )


def read_config(kind: type[ConfigT], path: str | Path) -> ConfigT:
    """The configuration of one YAML file, checked against its class.

    Raises ConfigError naming the file, the dotted key and the nearest right key.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    return check_config(kind, data, path)


def check_config(kind: type[ConfigT], data: Any, source: str | Path) -> ConfigT:
    """The configuration that data read from `source` holds, checked against its class.

    Raises ConfigError naming the source, the dotted key and the nearest right key.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: wanted a mapping of settings, found {type(data).__name__}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}:\n" + "\n".join(_explain(kind, error))) from error


def dump_config(config: Config) -> str:
    """The resolved configuration as YAML; `read_config` gives it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def preset_names(job: str) -> list[str]:
    """Names of the presets shipped for a job."""
    return sorted(p.stem for p in (_PRESETS / job).glob("*.yaml"))


def find_preset(chosen: str, job: str | None) -> Path:
    """The file that `--config` means: a path that exists, or a preset's name.

    Raises ConfigError that lists the presets otherwise.
    """
    if Path(chosen).is_file():
        return Path(chosen)
    if job and (_PRESETS / job / f"{chosen}.yaml").is_file():
        return _PRESETS / job / f"{chosen}.yaml"
    names = preset_names(job) if job else []
    raise ConfigError(f"--config {chosen}: neither a file nor a preset of {job}; presets: {', '.join(names) or 'none'}")


def dotted_fields(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    """Every settable field of a configuration as (dotted name, class that owns it, its own name)."""
    for name, field in kind.model_fields.items():
        nested = [
            t
            for t in (field.annotation, *get_args(field.annotation))
            if isinstance(t, type) and issubclass(t, BaseModel) and not get_origin(t)
        ]
        yield prefix + name, kind, name
        for inner in nested:
            yield from dotted_fields(inner, f"{prefix}{name}.")


def with_values(config: ConfigT, values: dict[str, Any]) -> ConfigT:
    """A copy with dotted fields replaced and checked, as `{"optim.lr": 3e-4}`.

    Raises ConfigError for a field that does not exist or a value out of bounds.
    """
    data = config.model_dump()
    for dotted, value in values.items():
        *parents, last = dotted.split(".")
        node = data
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                raise ConfigError(_unknown_key(type(config), dotted))
            node = node[parent]
        if last not in node:
            raise ConfigError(_unknown_key(type(config), dotted))
        node[last] = value
    try:
        return type(config).model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(type(config), error))) from error


def _take_config_flag(args: list[str]) -> tuple[list[str], str | None]:
    rest: list[str] = []
    chosen: str | None = None
    queue = iter(args)
    for arg in queue:
        if arg == "--config":
            chosen = next(queue, None)
            if chosen is None:
                raise ConfigError("--config wants a file or the name of a preset")
        elif arg.startswith("--config="):
            chosen = arg.removeprefix("--config=")
        else:
            rest.append(arg)
    return rest, chosen


def _explain(kind: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            yield "  " + _unknown_key(kind, key)
        else:
            yield f"  {key}: {item['msg']} (found {item['input']!r})"


def _unknown_key(kind: type[BaseModel], key: str) -> str:
    names = [name for name, _, _ in dotted_fields(kind)]
    near = get_close_matches(key, names, n=1, cutoff=0.5) or get_close_matches(key.rsplit(".", 1)[-1], names, n=1)
    return f"{key}: no such setting" + (f"; did you mean {near[0]}?" if near else "")
