"""Experiment files: which agent learns which task, and with what settings.

    experiment = load_experiment("experiments/food_task.yaml")
    experiment.rl.env.num_images_per_item
    experiment.raw["rl"]["agent"]        # as written, for the trainer

Sections and keys that the simulator does not know belong to the agent's trainer and are handed through untouched.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, PrivateAttr

from rapport.core.config import AS_TEXT, Config, ConfigError, check_config
from rapport.simulator.documents import read_document


class ExperimentError(ConfigError, ValueError):
    """An experiment file that cannot be used."""


class Section(Config):
    """A part of an experiment: keys that are not the simulator's are kept."""

    model_config = ConfigDict(extra="allow")


class Undocumented:
    """Marks a field that published experiments may leave out because no guide tells of it."""


Text = Annotated[str, AS_TEXT]


class BaseSettings(Section):
    """`base`: who learns what."""

    task_name: Text
    """Task folder."""
    agent_name: Text
    """Agent folder."""
    device: str = "cuda"
    """Where the agent computes."""
    dir_id: Annotated[Text | None, Undocumented()] = None
    """Folder of the run's outputs; None takes the next free number."""
    sampling_rate: PositiveInt = 22_050
    """Of all speech in the environment, Hz."""


class AudioSettings(Section):
    """`pretrain.audio`: clips to learn from."""

    noise_num: PositiveInt = 5
    """Ways to ask for each item; the published name speaks of noise."""
    overwrite_audio_dataset: bool = False
    """Whether to make clips again that are there."""
    SNR: float = 30
    """Of the white noise that is added to each clip, dB."""
    model_name: str = "kokoro"
    """Who speaks them."""
    voice: str = "af_heart"
    """With which voice."""


class PictureModelSettings(Section):
    """`model` of `pretrain.image`."""

    num_inference_steps: PositiveInt = 10
    """Denoising steps."""
    guidance_scale: float = 8.0
    """How closely a picture follows its prompt."""
    height: PositiveInt = 512
    """Pixels."""
    width: PositiveInt = 512
    """Pixels."""


class ImageSettings(Section):
    """`pretrain.image`: pictures to learn from."""

    train_images_per_folder: PositiveInt = 30
    """Of each of the three train folders of an item."""
    test_images_per_folder: PositiveInt = 10
    """Of each of the three test folders of an item."""
    overwrite_image_dataset: bool = False
    """Whether to make pictures again that are there."""
    batch_size: PositiveInt = 16
    """Pictures made at a time."""
    model_name: str = "Mann-E_Turbo"
    """Who draws them."""
    model: PictureModelSettings = PictureModelSettings()
    """How they are drawn."""


class PretrainSettings(Section):
    """`pretrain`: what the agent is made with."""

    audio: AudioSettings = AudioSettings()
    """Clips."""
    image: ImageSettings = ImageSettings()
    """Pictures."""


class JudgeSettings(Section):
    """`rl.env.generative_models.LLM`."""

    max_model_len: PositiveInt = 1200
    """Tokens of prompt and reply together."""
    gpu_memory_utilization: float = Field(0.4, gt=0, le=1)
    """Share of the device's memory."""
    max_new_tokens: PositiveInt = 150
    """Tokens of a reply."""
    temperature: float = Field(0.5, ge=0)
    """Of sampling; 0 is greedy."""


class TurnPictureSettings(PictureModelSettings):
    """`rl.env.generative_models.image_generator`."""

    num_inference_steps: PositiveInt = 8
    """Denoising steps."""
    guidance_scale: float = 4
    """How closely a picture follows its prompt."""


class GenerativeSettings(Section):
    """`rl.env.generative_models`, of which no guide tells."""

    LLM: Annotated[JudgeSettings, Undocumented()] = JudgeSettings()
    """The judge."""
    image_generator: Annotated[TurnPictureSettings, Undocumented()] = TurnPictureSettings()
    """The pictures of a dialogue."""


class EnvSettings(Section):
    """`rl.env`: the simulator."""

    device: str = "cuda"
    """Where its models compute."""
    num_images_per_item: int = 10
    """Size of an item's pool of pictures; below 1 each is new."""
    enable_audio_response: bool = False
    """Whether the counterpart is heard."""
    record_train_env: bool = False
    """Whether training dialogues are kept."""
    record_eval_env: bool = False
    """Whether test dialogues are kept."""
    llm_prompt_name: str = Field("food_task.txt", min_length=1)
    """Prompt file of the judge."""
    generative_models: Annotated[GenerativeSettings, Undocumented()] = GenerativeSettings()
    """Models that answer in a dialogue."""


class RlSettings(Section):
    """`rl`: learning in the simulator."""

    env: EnvSettings = EnvSettings()
    """The simulator."""
    agent: Annotated[dict[str, Any], Undocumented()] = Field(default_factory=dict)
    """The trainer's own."""


class Experiment(Section):
    """An experiment file."""

    base: BaseSettings
    """Who learns what."""
    pretrain: PretrainSettings = PretrainSettings()
    """What the agent is made with."""
    rl: RlSettings = RlSettings()
    """Learning in the simulator."""
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> dict[str, Any]:
        """The file as it was written: what a trainer is given sections of."""
        return self._raw


def load_experiment(path: str | Path, *, strict: bool = True) -> Experiment:
    """The experiment of a YAML file. Raises ExperimentError (a ValueError) naming the file and the key.

    Strict demands every documented key, and refuses an unknown key that is nearly the name of one that is not there: all other unknown
    keys may be the trainer's. With `strict=False` only `base.task_name` and `base.agent_name` are demanded.
    """
    data = read_document(path, "an experiment", strict=strict)
    problems = list(_drift(Experiment, data, "")) if strict else []
    if problems:
        raise ExperimentError(f"{path}:\n" + "\n".join(f"  {problem}" for problem in problems))
    try:
        experiment = check_config(Experiment, data, path)
    except ConfigError as error:
        raise ExperimentError(str(error)) from error
    experiment._raw = data
    return experiment


def _drift(kind: type[BaseModel], data: dict[str, Any], prefix: str) -> Iterator[str]:
    """What is missing or nearly named so, in a section and those within."""
    absent = [name for name in kind.model_fields if name not in data]
    misspelt = {
        near[0]: key for key in data if key not in kind.model_fields and (near := get_close_matches(str(key), absent, n=1, cutoff=0.8))
    }
    for name in absent:
        optional = any(isinstance(mark, Undocumented) for mark in kind.model_fields[name].metadata)
        if name in misspelt:
            yield f"{prefix}{misspelt[name]}: no such setting; did you mean {name}?"
        elif not optional:
            yield f"{prefix}{name}: missing"
    for name, value in data.items():
        inner = _section(kind, name)
        if inner is not None and isinstance(value, dict):
            yield from _drift(inner, value, f"{prefix}{name}.")


def _section(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = kind.model_fields.get(name)
    types = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((t for t in types if isinstance(t, type) and issubclass(t, BaseModel)), None)
