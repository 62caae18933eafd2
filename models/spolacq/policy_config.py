"""Settings of the networks that learn what to say. Imports no torch, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.config import Config


class PolicyConfig(Config):
    """Networks that choose a picture and how to speak of it. The default sizes are the published ones."""

    state_width: int = Field(default=50, ge=1)
    """Width that the numeric part of an observation is mapped to."""
    picture_width: int = Field(default=50, ge=1)
    """Width that the features of each picture are mapped to, by one mapping for both."""
    head_width: int = Field(default=75, ge=1)
    """Hidden width of the actor's heads."""
    critic_width: int | None = Field(default=None, ge=1)
    """Width of the two hidden layers of critics and values; as wide as what they read, unless given, as published."""
    symmetric: bool = True
    """Judge each picture by one network that sees it beside the mean of the others, so that what is learned on the left holds on the right;
    false is the published network, which has to learn both."""
    normalise: bool = True
    """Bring features to mean 0, and all by one factor to a mean deviation of 1, over the pictures of training; false is published."""
    log_deviation: float = Field(default=-0.5, ge=-5, le=2)
    """Natural logarithm of the deviation with which sentence embeddings are tried out at first, where an algorithm learns it."""
