"""Settings of the dialogue simulator and of the environment that an agent acts in."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config


class SimulatorConfig(Config):
    """How dialogues are held."""

    audio: bool = False
    """The counterpart speaks. Without it, its lines are a second of silence, and nothing that only a voice needs is asked for."""
    sampling_rate_hz: int = Field(default=22_050, ge=8_000, le=192_000)
    """Of everything that is said, by either side."""
    images_per_item: int = Field(default=10, ge=0)
    """Pictures in an item's pool; 0 draws a picture that nobody has seen for every offer."""
    picture_seed: int = Field(default=0, ge=0)
    """Which pools of pictures: another number, other pictures."""
    height: int = Field(default=64, ge=8, le=4096)
    """Pixels of a picture; the published tasks use 512."""
    width: int = Field(default=64, ge=8, le=4096)
    """Pixels of a picture."""
    mode: Literal["train", "test"] = "train"
    """The pool that pictures are taken from; no picture is in both."""
    offer_size: int | None = Field(default=None, ge=1)
    """Items shown at a time in every scene; None leaves it to each scene of the scenario."""
    faithful: bool = False
    """Make every call that the published simulator makes: an opening line is judged also when nobody will hear it, silence is
    transcribed. Otherwise only what is used is asked for. States, rewards and pictures are the same."""
    lenient_scene_ids: bool = False
    """Take a judge's next_scene_id in quotes as the number it spells; the published simulator stays for it."""
    audio_observation_s: float | None = Field(default=None, gt=0, le=60)
    """Seconds of the counterpart's opening line that an observation holds under `audio`, cut or filled with silence; None for none."""
    silence_peak: float = Field(default=1e-4, ge=0, lt=1)
    """Speech that nowhere exceeds this (of 1) is silence: heard as nothing, without asking the ears."""
    retries: int = Field(default=2, ge=0)
    """How often a service that raised is asked again before the episode is given up."""
    failures_allowed: int = Field(default=20, ge=0)
    """Batches in a row that a service may fail, retries included, before the environment raises instead of giving up more episodes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.audio_observation_s is not None and not self.audio:
            raise ValueError(
                f"audio_observation_s is {self.audio_observation_s}: wanted audio on as well, else there is only silence to hear"
            )
        return self


class AgentEnvConfig(Config):
    """How an agent's body is joined to dialogues."""

    actions: Literal["factored", "box", "feature"] = "factored"
    """What an action is. `factored`: a picture's number and a sentence embedding. `box`: the same as one vector within ±1, for
    algorithms that want one. `feature`: a feature vector and a sentence embedding as they go into the mouth (published)."""
    state_scale: float = Field(default=1.0, gt=0)
    """Factor on the numbers of an observation that have no bounds, as 1/255 for a colour; those within bounds are brought to ±1."""
    sentence_limit: float = Field(default=2.5, gt=0)
    """Largest component of a sentence embedding; actions beyond it are clipped."""
    wrapped: bool = False
    """Read the numbers from observations as the task's wrapper leaves them, rather than as its observation function gives them."""
    feature_cache: int = Field(default=4096, ge=1)
    """Pictures whose features are kept."""
