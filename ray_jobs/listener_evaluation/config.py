"""Settings of `evaluate_listener`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import JobConfig, Names

Baseline = Literal["mean_pose", "start_pose", "running_mean", "other_motion"]
Control = Literal["silence", "other_voice"]


class EvaluateListenerConfig(JobConfig):
    """Which models listen to which turns, and what they are compared with."""

    models: Names = ()
    """Names of trained models, or folders and URIs, separated by commas: the one in question first, then those to compare it with. The
    newest unless given."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the evaluation; made from the first model unless given. The same name again replaces the earlier one."""
    data: Names = ()
    """Folders of features and poses that build_listener made, separated by commas; the newest that fit each model unless given."""
    sessions: Names = ()
    """Sessions to listen to, such as session5, separated by commas; those that the models were not trained on unless given."""
    max_turns: int | None = Field(default=None, ge=1)
    """Most turns of each session, drawn by the seed."""
    baselines: tuple[Baseline, ...] = ("mean_pose", "start_pose", "running_mean", "other_motion")
    """Motion without listening, beside the models."""
    controls: tuple[Control, ...] = ("silence", "other_voice")
    """The first model when it hears nothing, or somebody else's words: what it owes to the voice."""
    draw: bool = True
    """Also judge motion that the first model draws by the seed, where it can."""
    actors: int | None = Field(default=None, ge=1)
    """Tasks at the same time; as many as the cluster has processors unless told."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws behind the intervals."""
    write_card: bool = True
    """Write the model card into the folder of the first model."""
    shown: int = Field(default=6, ge=0)
    """Turns to watch, drawn by the seed, of as many listeners as there are."""
