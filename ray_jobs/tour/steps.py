"""The steps of the quickstart, as commands that anybody can type, and their running: what was done before is not done again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.synthetic.maker import FORMAT
from rapport.ray_jobs.local_cluster import LocalCluster, command_line
from rapport.ray_jobs.tour.narrator import Narrator

_TAIL_LINES = 30
_SIDES = ("train", "validation", "test", "None")
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One job of the tour."""

    name: str
    title: str
    """What it does, in plain words."""
    job: str
    arguments: tuple[str, ...]
    told: Callable[[Result], str]
    """What came out, in plain words."""
    lasting: bool = True
    """Whether its outcome outlives the cluster, so that a second tour need not repeat it."""

    @property
    def command(self) -> str:
        """The command of the job."""
        return command_line(self.job, *self.arguments)


@dataclass(frozen=True, slots=True)
class Done:
    """A step that has ended well."""

    step: Step
    command: str
    result: dict[str, Any]
    seconds: float
    """How long it took when it was done."""
    earlier: bool
    """Whether it was done by an earlier tour."""

    @property
    def outcome(self) -> str:
        """What came out, in plain words."""
        return self.step.told(self.result) + (" (from an earlier run)" if self.earlier else "")


def corpus_steps(root: str, speakers: Mapping[str, int], utterances: Mapping[str, int], seed: int) -> list[Step]:
    """Speak three small corpora in the folder layouts of published ones, and prepare each."""
    titles = {
        "ravdess": "Speak a corpus laid out as RAVDESS",
        "cremad": "Speak a corpus laid out as CREMA-D",
        "musan": "Make background noise laid out as MUSAN",
    }
    made, prepared = [], []
    for layout, title in titles.items():
        size = ["--utterances", str(utterances[layout])]
        if layout in speakers:
            size += ["--speakers", str(speakers[layout])]
        # Another size or seed, or a later version's way of speaking, is another corpus, beside the earlier one.
        corpus = storage.join(root, "synthetic", "-".join([layout, *size[1::2], str(seed), f"format{FORMAT}"]))
        arguments = ("--layout", layout, *size, "--seed", str(seed), "--out", corpus, "--storage", root)
        made.append(Step(f"make_{layout}", title, "make_corpus", arguments, _told_made))
        arguments = ("--config", layout, "--corpus.root", corpus, "--storage", root)
        title = f"Prepare {layout}: decode, check{', split by speaker' if layout in speakers else ''}"
        prepared.append(Step(f"prepare_{layout}", title, "prepare_corpus", arguments, _told_prepared))
    return [*made, *prepared]


def model_steps(root: str, name: str, preset: str, seed: int) -> list[Step]:
    """Train on the prepared corpora and evaluate once on speakers that were never heard."""
    trained = ("--config", preset, "--name", name, "--seed", str(seed), "--storage", root)
    # UMAP compiles itself for half a minute before it draws anything.
    evaluated = ("--model", name, "--embeddings.maps", "t-SNE", "--storage", root)
    return [
        Step("train", "Train a speech emotion classifier", "train_ser", trained, _told_trained),
        Step("evaluate", "Evaluate it on speakers it has never heard", "evaluate_ser", evaluated, _told_evaluated),
    ]


def serving_step(root: str, name: str, port: int, elsewhere: str) -> Step:
    """Serve the companion: with the trained model, and those of other kinds that were trained in the storage root `elsewhere`, if any."""
    model = storage.join(root, "models", "ser", name)
    models = ("--app", "companion", "--emotion.model", model, "--conversations.model", "off")
    arguments = (*models, "--port", str(port), "--detach", "--storage", elsewhere)
    return Step("serve", "Serve it, with a page to talk to", "serve_app", arguments, lambda result: str(result["url"]), lasting=False)


def take(steps: Sequence[Step], cluster: LocalCluster, heard: Narrator, root: str, code: str, first: int = 0) -> list[Done]:
    """Run the steps one after the other, submitting each to the cluster; those recorded for the same command and code are skipped.

    Raises RapportError with the end of the log and the way to go on when one fails.
    """
    done: list[Done] = []
    for index, step in enumerate(steps, start=first):
        heard.begin(index)
        record = storage.join(root, "tour", f"{step.name}.json")
        key = storage.content_key({"command": step.command, "code": code, "before": [d.result.get("folder") for d in done]})
        earlier = _recorded(record, key) if step.lasting else None
        if earlier is not None:
            done.append(Done(step, step.command, earlier["result"], earlier["seconds"], earlier=True))
        else:
            outcome = cluster.run(step.command, heard.say)
            if not outcome.ok:
                raise RapportError(_failure(step, cluster, outcome.log))
            done.append(Done(step, step.command, outcome.result, outcome.seconds, earlier=False))
            if step.lasting:
                storage.write_json(record, {"key": key, "result": outcome.result, "seconds": outcome.seconds, "at": time.time()})
        heard.end(done[-1].outcome, done[-1].seconds)
    return done


def _recorded(record: str, key: str) -> dict[str, Any] | None:
    """What an earlier tour wrote down for the same work, if its output is still there."""
    if not storage.exists(record):
        return None
    earlier = storage.read_json(record)
    folder = earlier["result"].get("folder")
    return earlier if earlier["key"] == key and (folder is None or storage.exists(folder)) else None


def _failure(step: Step, cluster: LocalCluster, log: str) -> str:
    tail = "\n".join(f"    {line}" for line in log.splitlines()[-_TAIL_LINES:])
    return (
        f"step {step.name!r} failed. The end of its log:\n{tail}\n"
        f"To go on from here, once that is mended: make quickstart (what is finished is kept).\n"
        f"To run this step alone: {step.command}\n"
        f"or on a cluster: {cluster.submit_line(step.command)}"
    )


def _told_made(result: Result) -> str:
    return f"{result['files']} files, {60 * result['hours']:.0f} minutes"


def _told_prepared(result: Result) -> str:
    bad = f", {result['quarantined']} unusable" if result["quarantined"] else ", none unusable"
    sides = " / ".join(f"{count} {side}" for side, count in sorted(result["splits"].items(), key=lambda s: _SIDES.index(s[0])))
    return f"{result['utterances']} clips ({sides}){bad}"


def _told_trained(result: Result) -> str:
    return f"{result['validation']['uar']:.0%} of emotions recognised on validation speakers, epoch {result['epoch']} of {result['epochs']}"


def _told_evaluated(result: Result) -> str:
    low, high = result["interval"]["uar"]
    return f"{result['uar']:.0%} of emotions recognised (95 % interval {low:.0%} to {high:.0%}) on {result['count']} clips"
