"""What a build is made from: conversations with clues and seeds, or published flat files, as they are after everything was checked."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rapport.core import plugins, storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations import flat
from rapport.datasets.conversations.clues import gather_clues
from rapport.datasets.conversations.examples import find_examples, open_examples
from rapport.datasets.conversations.knowledge import Known, knowledge_beside
from rapport.datasets.conversations.overlap import without_overlap
from rapport.datasets.conversations.records import BadRow, Conversations, is_made
from rapport.datasets.conversations.seeds import Seed, check_seeds, gather_seeds, relocate
from rapport.datasets.prepare import corpus_options
from rapport.ray_jobs.coe_data.config import FLAT, BuildCoeConfig
from rapport.ray_jobs.training_runs.run_folder import absolute

ROOM = "datasets.conversations.corpora"
MADE_HOME = "conversations"
"""Folder below the storage root where make_conversations writes."""


@dataclass(frozen=True, slots=True)
class Source:
    """Conversations with all that belongs to them."""

    found: Conversations
    """With clues; what another corpus asks about is taken out."""
    seeds: list[Seed]
    seeds_from: str
    made: bool
    removed: list[str] = field(default_factory=list)
    """What was taken out, one sentence for each side of another corpus."""
    knowledge: list[Known] = field(default_factory=list)
    """What a model that learns from nothing is to know."""

    def digest(self) -> str:
        """sha256 over everything that decides the examples."""
        read = self.found
        parts = [read.corpus, read.labels, read.clues.digest, [asdict(s) for s in self.seeds], [asdict(c) for c in read.conversations]]
        known = [asdict(k) for k in self.knowledge]
        return _sha256([*parts, sorted(read.absent), [(b.line, b.reason) for b in read.bad], *([known] if known else [])])


@dataclass(frozen=True, slots=True)
class FlatSource:
    """Examples that somebody else rendered."""

    corpus: str
    stages: list[flat.Stage]
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def bad(self) -> list[BadRow]:
        """Lines that are no examples."""
        return [row for stage in self.stages for row in stage.bad]

    def digest(self) -> str:
        """sha256 over everything that decides the examples."""
        told = [[s.task, s.labels, {side: [asdict(e) for e in es] for side, es in s.examples.items()}] for s in self.stages]
        return _sha256([self.corpus, told, [[asdict(e) for e in s.seeds] for s in self.stages]])


def gather(config: BuildCoeConfig) -> Source | FlatSource:
    """Read and check everything that the settings name.

    Raises RapportError for a corpus that is not there or is broken, for seeds that do not fit it, and, where `complete` is set, for a copy
    that is not.
    """
    root = find_root(config)
    if config.corpus.name == FLAT:
        return _gather_flat(config, root)
    reader = plugins.load(ROOM, config.corpus.name)
    read: Conversations = reader.read(root, corpus_options(reader, config.corpus.options))
    if config.complete and (wrong := [*read.deviations, *(f"no {side}: {path} is not there" for side, path in read.absent.items())]):
        raise RapportError(f"{root} is no complete copy: {'; '.join(wrong)}. Mend it, or set complete to false")
    if not read.of("train"):
        raise RapportError(
            f"{root} has no training side ({read.absent.get('train', 'no conversation is of it')}): there is nothing to learn"
        )
    found = replace(read, clues=gather_clues(read, config.clues, root))
    seeds, seeds_from = gather_seeds(found, config.seeds, root)
    found, removed = _apart(found, config)
    kept = relocate(seeds, found)
    if len(kept) < len(seeds):
        check_seeds(
            kept, found, f"after {len(seeds) - len(kept)} seeds were taken out with what other corpora ask about (apart), {seeds_from}"
        )
    return Source(found, kept, seeds_from, is_made(root), removed, knowledge_beside(root, found))


def find_root(config: BuildCoeConfig) -> str:
    """The folder of the corpus, absolute.

    Raises RapportError that tells what to give.
    """
    corpus = config.corpus
    if not corpus.root:
        raise RapportError(f"corpus.root is empty: give the folder of {corpus.name} with --corpus.root")
    if "/" in corpus.root or storage.exists(corpus.root):
        return absolute(corpus.root)
    folder = storage.join(absolute(config.storage), MADE_HOME, corpus.root)
    if not storage.is_complete(folder):
        raise RapportError(
            f"{corpus.root} is neither a folder nor conversations in {folder}: run python -m rapport.ray_jobs.make_conversations "
            f"--config {corpus.name} --storage {config.storage}, or give a folder with --corpus.root"
        )
    return folder


def _apart(found: Conversations, config: BuildCoeConfig) -> tuple[Conversations, list[str]]:
    root = absolute(config.storage)
    others = [open_examples(find_examples(root, name)).conversations() for name in config.apart.builds]
    if same := [o for o in others if o.corpus == found.corpus]:
        raise RapportError(f"apart.builds names a build of {same[0].corpus}, which this one is of too: wanted builds of other corpora")
    if not others:
        return found, []
    (kept, *_), overlaps = without_overlap([found, *others], config.apart.remove)
    told = [str(o) for o in overlaps if o.shared and o.trained == f"{found.corpus}/train"]
    before, after = found.counts()["train"], kept.counts().get("train", {"dialogues": 0, "lines": 0})
    gone = " and ".join(f"{before[what] - after[what]} of {before[what]} {what}" for what in ("dialogues", "lines"))
    return kept, [*told, f"taken out of train: {gone}"] if told else []


def _gather_flat(config: BuildCoeConfig, root: str) -> FlatSource:
    if config.apart.builds:
        raise RapportError("apart.builds compares lines of conversations, and flat files have prompts alone: build from conversations")
    options = corpus_options(flat, config.corpus.options)
    assert isinstance(options, flat.Options)
    stages = [s for s in flat.read_stages(root, options) if s.task in config.tasks]
    if not stages or not any(s.examples.get("train") for s in stages):
        raise RapportError(
            f"{root} has nothing to learn from for {', '.join(config.tasks)}: wanted a train.json in the folder of one of them"
        )
    there = {side for stage in stages for side in stage.examples}
    absent = {side: f"{root}/<task>/{name}" for side, name in flat.FILES.items() if side not in there}
    if config.complete and absent:
        raise RapportError(f"{', '.join(absent.values())} is not there: mend it, or set complete to false")
    return FlatSource(options.corpus, stages, absent)


def _sha256(value: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(list(value), ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
