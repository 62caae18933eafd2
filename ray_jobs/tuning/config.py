"""Settings of `tune_model`. Imports no ray, so that `--help` stays quick."""

from pydantic import Field

from rapport.core.config import JobConfig


class TuneModelConfig(JobConfig):
    """What to search, from where, and for how long."""

    space: str = "ser"
    """A search space of tune_spaces."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the search; the space's unless given. The same name again continues a search that was interrupted, or adds trials."""
    fresh: bool = False
    """Begin anew: an earlier search of that name is removed."""
    base: str | None = None
    """Settings that trials start from: a YAML file or preset of the job that the space belongs to; its defaults unless given."""
    settings: tuple[str, ...] = ()
    """Changes to the base, such as corpora=ravdess training.epochs=20."""
    fields: str = ""
    """Search only these fields of the space, separated by commas; all that apply unless given."""
    samples: int = Field(default=32, ge=1)
    """Trials in all, those of an interrupted search included."""
    random_samples: int = Field(default=10, ge=1)
    """Trials drawn at random before the sampler learns from results."""
    concurrent: int | None = Field(default=None, ge=1)
    """Trials at the same time; as many as the cluster holds unless given."""
    grace: int = Field(default=5, ge=1)
    """Epochs that every trial gets."""
    reduction: int = Field(default=3, ge=2)
    """At each rung, the best one in so many goes on (ASHA)."""
    time_budget_s: float | None = Field(default=None, gt=0)
    """Start no trial and end the running ones after this long."""
    try_base: bool = True
    """Let the first trial be the base itself."""
    preset_out: str | None = None
    """Write the best settings here too, as a preset (YAML)."""
