"""Make an embedded corpus in the true layout of a published one, so that its loader reads made and real speech alike.

    plan = plan_corpus(config, espeak.load)       # which files, and where
    for done in make_files(plan): ...             # Ray Data, chunk by chunk; what is there already stays
    result = finish_corpus(plan, chunks)          # the manifest, last

A layout is one file in `datasets/synthetic/layouts/`: `plan(request) -> list[Item]` and `render(item, studio) -> {path: bytes}`, paths
relative to the corpus. What a file holds depends on the seed and its own name alone, not on which files were made before it, by whom, or
by how many workers at once.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from pydantic import Field

from rapport import __version__
from rapport.core import plugins, storage
from rapport.core.config import JobConfig, dump_config
from rapport.core.errors import RapportError
from rapport.core.speech import Synthesizer
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Item, Studio

LAYOUTS = "datasets.synthetic.layouts"
RECIPE = "recipe.json"
# Raise this when the same recipe would come out as other speech.
FORMAT = 2
LICENCE = (
    "Made by a machine: speech by espeak-ng (the program is GPL-3.0, what it says is not), sounds by Rapport, which claims no rights; "
    "no recording of a person is in it. Names and sentences follow the published corpus of this layout: never report it as that corpus."
)
_AUDIO = (".wav", ".flac")


class MakeCorpusConfig(JobConfig):
    """Which corpus to make, and how much of it."""

    layout: str = "ravdess"
    """A layout of datasets/synthetic/layouts, such as ravdess, cremad, esd, librispeech or musan."""
    out: str | None = None
    """Folder or URI of the corpus; <storage>/synthetic/<layout> unless told."""
    speakers: int | None = Field(default=None, ge=1)
    """How many speakers; as many as the published corpus has unless told."""
    utterances: int | None = Field(default=None, ge=1)
    """How many clips a speaker (of musan: files in all); all that the published corpus has unless told."""
    variation: float = Field(default=1.0, ge=0, le=3)
    """How far speakers, and takes of one emotion, lie apart: 0 is by the book, more is harder to tell."""
    voice: str = "espeak"
    """Back-end of models/backends/tts that speaks."""
    chunk_size: int = Field(default=16, ge=1)
    """Files made by one task."""
    concurrency: int | None = Field(default=None, ge=1)
    """Chunks made at the same time; one a CPU of the cluster unless told."""


@dataclass(frozen=True)
class Plan:
    """The work of one corpus."""

    config: MakeCorpusConfig
    folder: str
    request: Request
    items: list[Item]
    missing: int
    """How many of the items are not there yet."""
    recipe: dict[str, Any]
    open_voice: Callable[[], Synthesizer]


def plan_corpus(config: MakeCorpusConfig, open_voice: Callable[[], Synthesizer]) -> Plan:
    """The files of the corpus, and how many of them are missing; writes the recipe into a fresh folder.

    `open_voice` is called once in each worker. Raises RapportError for an unknown layout or an impossible size, and for a folder that
    holds anything but this very corpus, so that no made clip can slip in among real ones.
    """
    layout = plugins.load(LAYOUTS, config.layout)
    request = Request(config.speakers, config.utterances, config.seed)
    items: list[Item] = layout.plan(request)
    folder = config.out or storage.join(config.storage, "synthetic", config.layout)
    folder = folder if "://" in folder else storage.resolve(folder)[1]
    recipe = {
        "format": FORMAT,
        "layout": config.layout,
        **asdict(request),
        "variation": config.variation,
        "voice": dict(open_voice().provenance),
    }
    there = _claim(folder, recipe)
    missing = sum(storage.join(folder, item.path) not in there for item in items)
    return Plan(config, folder, request, items, missing, recipe, open_voice)


def _claim(folder: str, recipe: Mapping[str, Any]) -> set[str]:
    """The files already in the folder, which carries this recipe from now on."""
    there = set(storage.list_files(folder)) if storage.exists(folder) else set()
    if storage.join(folder, RECIPE) in there:
        found = storage.read_json(storage.join(folder, RECIPE))
        differing = sorted(k for k in recipe.keys() | found.keys() if recipe.get(k) != found.get(k))
        if differing:
            changes = ", ".join(f"{k} {found.get(k)} there, {recipe.get(k)} now" for k in differing)
            raise RapportError(f"{folder} holds a corpus made otherwise ({changes}): choose another --out, or remove that folder")
    elif there:
        raise RapportError(f"{folder} holds files that this job did not make, such as {min(there)}: choose another --out")
    else:
        storage.write_json(storage.join(folder, RECIPE), dict(recipe))
    return there


def make_files(plan: Plan) -> Iterator[dict[str, Any]]:
    """Make what is missing with Ray Data, and yield what `make_chunk` tells of each chunk as it is finished.

    Wants Ray to be initialised.
    """
    import ray.data
    from ray.data import DataContext, TaskPoolStrategy

    size = plan.config.chunk_size
    chunks = [{"first": first, "last": min(first + size, len(plan.items))} for first in range(0, len(plan.items), size)]
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with DataContext.current(context):
        dataset = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map(
            partial(
                make_chunk,
                folder=plan.folder,
                layout=plan.config.layout,
                request=plan.request,
                variation=plan.config.variation,
                open_voice=plan.open_voice,
            ),
            compute=TaskPoolStrategy(size=plan.config.concurrency),
        )
    yield from dataset.iter_rows()


def make_chunk(
    chunk: Mapping[str, int], folder: str, layout: str, request: Request, variation: float, open_voice: Callable[[], Synthesizer]
) -> dict[str, Any]:
    """Make the items `first` to `last` (exclusive) that are not there, each whole or not at all.

    Tells of them: `first`, `files` (how many), `made` (how many were missing), `speech_s`, and `sha256` of each in order.
    """
    module = plugins.load(LAYOUTS, layout)
    items: list[Item] = module.plan(request)[chunk["first"] : chunk["last"]]
    studio = Studio(open_voice(), request.seed, variation)
    made, speech_s, hashes = 0, 0.0, []
    for item in items:
        path = storage.join(folder, item.path)
        if storage.exists(path):
            data = storage.read_bytes(path)
        else:
            files: dict[str, bytes] = module.render(item, studio)
            data = files.pop(item.path)
            for companion, content in files.items():
                storage.write_bytes(storage.join(folder, companion), content)
            storage.write_bytes(path, data)
            made += 1
        hashes.append(hashlib.sha256(data).hexdigest())
        speech_s += _duration_s(item.path, data)
    return {"first": chunk["first"], "files": len(items), "made": made, "speech_s": speech_s, "sha256": hashes}


def _duration_s(path: str, data: bytes) -> float:
    if not path.endswith(_AUDIO):
        return 0.0
    import soundfile

    return float(soundfile.info(io.BytesIO(data)).duration)


def finish_corpus(plan: Plan, chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the manifest of a corpus whose files are all made, and return it: counts, digest, recipe, configuration, licence.

    Equal digests are equal corpora, file by file.
    """
    told = sorted(chunks, key=lambda chunk: chunk["first"])
    hashes = [sha256 for chunk in told for sha256 in chunk["sha256"]]
    lines = "".join(f"{sha256}  {item.path}\n" for item, sha256 in zip(plan.items, hashes, strict=True))
    manifest = {
        "kind": "synthetic corpus",
        "generator": {"name": "rapport", "version": __version__},
        "recipe": plan.recipe,
        "files": len(hashes),
        "hours": round(sum(chunk["speech_s"] for chunk in told) / 3600, 4),
        "digest": hashlib.sha256(lines.encode()).hexdigest(),
        "licence": LICENCE,
        "config": dump_config(plan.config),
    }
    storage.finish(plan.folder, manifest)
    return manifest
