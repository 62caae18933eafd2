"""Settings of `evaluate_agent`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import JobConfig, Names
from rapport.ray_jobs.agent_services.config import HostsConfig

Reference = Literal["silence", "random", "rule", "darkest", "worst", "best_corner", "oracle"]
Export = Literal["turns", "episodes"]


class EvaluateAgentConfig(JobConfig):
    """Which agent holds how many dialogues, beside whom, and what is kept of them."""

    model: str = ""
    """Name of a trained agent, or its folder or URI; the newest unless given."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the evaluation; that of the agent unless given. The same name again replaces the earlier one."""
    episodes: int = Field(default=200, ge=1)
    """Episodes of every system, with pictures of the test pool. All systems meet the same beginnings."""
    sessions: int = Field(default=16, ge=1)
    """Dialogues that a task holds at a time."""
    shards: int = Field(default=2, ge=1)
    """Tasks that share the episodes of a system. Another number, other episodes."""
    references: tuple[Reference, ...] = ("silence", "random", "rule", "darkest", "worst", "best_corner", "oracle")
    """Policies that know everything or nothing, and whose words are heard without a mistake."""
    spoken: tuple[Reference, ...] = ("oracle",)
    """Of these, also once more aloud, by the counterpart's own voice: what is lost to its ears alone."""
    spoken_pattern: int = Field(default=1, ge=0)
    """Which of an item's utterances those say, counted from 0 and round; the first is often the bare name, which is hard to hear."""
    words: bool = True
    """Also the agent's own choices said in words: what it loses by its speech."""
    judge: str = ""
    """Another judge than in training, as `services.judge` names it."""
    ears: str = ""
    """Other ears than in training, as `services.ears` names them."""
    grammar: bool | None = None
    """Whether pocketsphinx is told the task's sentences; as in training unless given. Without, word error rates say more."""
    pictures: str = ""
    """Another maker of pictures than in training, as `services.pictures` names it."""
    hosts: HostsConfig = HostsConfig()
    """Where the counterpart's services run."""
    second_judge: str = ""
    """A judge that is asked about every turn of the agent once more, to tell how far two judges agree."""
    unseen_items: Names = ()
    """Items that the agent's body was not trained on, told apart in the figures; those that its data held out unless given."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws behind the intervals."""
    shown: int = Field(default=12, ge=0)
    """Episodes of the agent on the replay page: the first that begin, neither drawn nor chosen."""
    record: Literal["shown", "all"] = "shown"
    """Of which of the agent's episodes sounds and pictures are kept. Turns are kept of all episodes of all systems."""
    published_logs: bool = False
    """Also write the agent's dialogues as the published simulator logs them."""
    export: tuple[Export, ...] = ()
    """Write the agent's episodes for RLlib's offline algorithms: `turns`, a row a turn (BC, IQL, CQL), `episodes`, a row an episode
    (MARWIL, which needs what followed)."""
    gpus_per_task: float = Field(default=0.0, ge=0)
    """Share of a GPU that each task takes."""
