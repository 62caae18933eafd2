"""Settings of `build_listener`. Imports neither torch nor ray, so that `--help` stays quick."""

from pydantic import Field

from rapport.core.config import JobConfig
from rapport.datasets.listener.build import TOLERANCE_S
from rapport.datasets.listener.turns import TurnsConfig
from rapport.models.listener.config import FrontEndConfig


class BuildListenerConfig(JobConfig):
    """Which turns of which corpus become speech features and head motion on one clock."""

    corpus: str = "iemocap"
    """Prepared corpus: a name, folder or URI."""
    root: str = ""
    """Folder or URI of the corpus as published, which holds the motion; that which it was prepared from unless given."""
    turns: TurnsConfig = TurnsConfig()
    """Which turns to take."""
    front_end: FrontEndConfig = FrontEndConfig()
    """What is heard. A model is trained on features of its own front end only."""
    tolerance_s: float = Field(default=TOLERANCE_S, gt=0, le=5)
    """Leave a turn out that is without a pose for longer than this, at its ends or within."""
    max_quarantined_fraction: float = Field(default=0.2, ge=0, le=1)
    """Fail when a larger share of turns has no usable motion."""
    chunk_size: int = Field(default=64, ge=1)
    """Turns made and written at once: what is lost when the job is killed."""
    actors: int | None = Field(default=None, ge=1)
    """Processes that work at the same time; one a CPU, or as many as the GPUs hold, unless told."""
    gpus_per_actor: float = Field(default=0.0, ge=0)
    """Share of a GPU that each takes, for front_end.kind ssl; 0 works on CPUs."""
