"""Everything once, small, on this computer: speak a corpus, prepare it, train, evaluate, serve, and ask the server.

    make quickstart                        # leaves the companion running at http://127.0.0.1:8000, a page to speak to
    make quickstart ARGS=--exit            # ends after the report
    python -m rapport.ray_jobs.quickstart --storage /data/rapport --exit

Starts a Ray cluster of this computer with a job server, and submits each step to it as `ray job submit` does. Takes about four minutes on
two cores. What is finished is kept in <storage>/quickstart and not done again. Expect report.html with a recognition rate far above
guessing: the voices are synthetic and easy.
"""

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from rapport import __version__
from rapport.core import storage
from rapport.core.config import JobConfig
from rapport.ray_jobs.runtime import job

if TYPE_CHECKING:
    from rapport.ray_jobs.tour.listening import Heard, Recording
    from rapport.ray_jobs.tour.narrator import Narrator
    from rapport.ray_jobs.tour.steps import Done

_ROOT = Path(__file__).resolve().parents[1]


class QuickstartConfig(JobConfig):
    """Everything once, small, on this computer."""

    exit: bool = False
    """End after the report instead of serving on."""
    report: str = "report.html"
    """Where to write the report."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port of the server; the next free one when it is taken."""
    speakers: int = Field(default=16, ge=4, le=24)
    """Speakers of the corpus laid out as RAVDESS; the one laid out as CREMA-D has two thirds more."""
    utterances: int = Field(default=40, ge=8, le=60)
    """Clips of each speaker laid out as RAVDESS."""
    preset: str = "quickstart"
    """Preset or file of the training."""


def run(config: QuickstartConfig) -> dict[str, Any]:
    """Where the report, the model and the server are, and the figures."""
    from rapport.ray_jobs.local_cluster import free_port, local_cluster
    from rapport.ray_jobs.tour.narrator import narrator
    from rapport.ray_jobs.tour.report import report_page
    from rapport.ray_jobs.tour.steps import corpus_steps, model_steps, serving_step, take

    began_s = time.monotonic()
    outer = storage.resolve(config.storage)[1]
    root = storage.join(outer, "quickstart")
    code = code_fingerprint(_ROOT)
    speakers = {"ravdess": config.speakers, "cremad": config.speakers * 5 // 3}
    utterances = {"ravdess": config.utterances, "cremad": min(config.utterances * 3 // 5, 80), "musan": 24}
    corpora = corpus_steps(root, speakers, utterances, config.seed)
    name = f"quickstart-{storage.content_key({'code': code, 'steps': [s.command for s in corpora], 'preset': config.preset})}"
    served = serving_step(root, name, free_port(config.port), outer)
    steps = [*corpora, *model_steps(root, name, config.preset, config.seed), served]
    _say("Starting a Ray cluster on this computer ...")
    with local_cluster() as cluster:
        _say(f"Its dashboard: {cluster.dashboard}")
        with narrator([*(s.title for s in steps), "Post clips of an unheard speaker to the server", "Write the report"]) as heard:
            done = take(steps, cluster, heard, root, code)
            url = str(done[-1].result["url"])
            answers, recording = _ask(url, done, heard, len(steps))
            heard.begin(len(steps) + 1)
            page = storage.resolve(config.report)[1]
            text = report_page(done, answers, recording, url=url, seconds=time.monotonic() - began_s)
            storage.write_bytes(page, text.encode())
            heard.end(page, 0)
        result = {**_figures(done), "report": page, "url": url, "seconds": round(time.monotonic() - began_s, 1)}
        _tell(done, answers, result, stays=not config.exit)
        if not config.exit:
            _wait()
    return result


def code_fingerprint(root: Path) -> str:
    """What the outcome of a step depends on besides its command: the code that a job takes along, or an installed package's version."""
    if not (root / "pyproject.toml").is_file():
        return __version__
    from rapport.ray_jobs.upload import uploaded_files

    digest = hashlib.sha256()
    for path, _ in sorted(uploaded_files(root)):
        if path.suffix in (".py", ".yaml", ".lock"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _ask(url: str, done: "Sequence[Done]", heard: "Narrator", index: int) -> "tuple[list[Heard], Recording]":
    from rapport.datasets.prepared import open_prepared
    from rapport.ray_jobs.tour.listening import Listener

    heard.begin(index)
    began_s = time.monotonic()
    corpus = open_prepared(next(d.result["folder"] for d in done if d.step.name == "prepare_ravdess"))
    listener = Listener(url)
    answers = listener.clips(corpus)
    recording = listener.recording(corpus)
    right = sum(a.emotion == a.answer["emotion"] for a in answers)
    heard.end(f"{right} of {len(answers)} answered with the emotion that was meant", time.monotonic() - began_s)
    return answers, recording


def _figures(done: "Sequence[Done]") -> dict[str, Any]:
    results = {d.step.name: d.result for d in done}
    evaluated = results["evaluate"]
    return {
        "model": evaluated["model"],
        "evaluation": evaluated["page"],
        **{key: evaluated[key] for key in ("uar", "wa", "macro_f1", "count", "interval")},
        "steps": {d.step.name: round(d.seconds, 1) for d in done},
    }


def _tell(done: "Sequence[Done]", answers: "Sequence[Heard]", result: dict[str, Any], *, stays: bool) -> None:
    from rapport.ray_jobs.tour.report import summary

    results = {d.step.name: d.result for d in done}
    metrics = storage.read_json(storage.join(results["evaluate"]["folder"], "metrics.json"))
    _say(f"\n{summary(done, answers, metrics)}")
    _say(f"\n  The report      {result['report']}\n  The evaluation  {result['evaluation']}\n  The model       {result['model']}")
    if stays:
        _say(f"  The page        {result['url']}  (speak to it; its reference: {result['url']}/docs)\n")
        _say("It keeps serving until Ctrl-C. What it lacks, replies and a listener's head, `make emosds` and `make listener` train.")


def _wait() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        _say("\nStopping the server and the cluster.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(QuickstartConfig, run)
