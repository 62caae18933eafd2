"""Examples of emotion recognition in conversations on disk: JSON Lines by task and side, with the conversations that they were made from.

    store = open_examples(find_examples(storage_root, "made-meld"))
    store.read("erc", "train"), store.seeds(), store.conversations()

manifest.json                  what they were made from, counts, digest; written last
dialogues.jsonl, labels.json, personas.json, scenes.jsonl
                               as `corpora/own.py` reads them; dialogues are absent where flat files were taken in
bad_rows.jsonl                 what could not be used, by file and line
examples/<task>/<side>.jsonl   one `ErcExample` a line
seeds.jsonl                    examples of steer whose target has reasons before the label
knowledge.jsonl                texts for a model that learns from nothing, some below a prompt that is read; only of made conversations
tokenizer/                     the tokenizer that counted, where one was trained here
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from rapport.core import storage
from rapport.core.conversations import TASKS, Clues, ErcExample
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.overlap import overlaps
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.tables import read_dataclass, to_json_lines

KIND, HOME = "coe_examples", "coe"
"""`kind` in the manifest, and the folder below features."""
SEEDS, KNOWLEDGE, BAD_ROWS, TOKENIZER = "seeds.jsonl", "knowledge.jsonl", "bad_rows.jsonl", "tokenizer"


@dataclass(frozen=True, slots=True)
class ExampleStore:
    """A finished build."""

    folder: str
    manifest: dict[str, Any]

    @property
    def corpus(self) -> str:
        """The first part of every example id."""
        return str(self.manifest["corpus"])

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of their class indices."""
        return tuple(self.manifest["labels"])

    @property
    def digest(self) -> str:
        """sha256 over all files of examples."""
        return str(self.manifest["digest"])

    @property
    def made(self) -> bool:
        """Whether a machine made the conversations, so that figures on them are none on the corpus they are laid out like."""
        return bool(self.manifest["made"])

    @property
    def tokenizer_folder(self) -> str | None:
        """The tokenizer that counted while the prompts were cut, as Hugging Face keeps it; None where none was trained here."""
        folder = storage.join(self.folder, TOKENIZER)
        return folder if storage.is_folder(folder) else None

    def has(self, task: str, side: str) -> bool:
        """Whether there is an example of that task and side."""
        return bool(self.manifest["counts"].get(task, {}).get(side))

    def path(self, task: str, side: str) -> str:
        """The file of a task and side.

        Raises RapportError that tells what to build when there is none.
        """
        if task not in TASKS or side not in SPLITS:
            raise RapportError(f"{task!r} of {side!r}: tasks are {', '.join(TASKS)}, sides {', '.join(SPLITS)}")
        if not self.has(task, side):
            there = "; ".join(f"{t}: {', '.join(s)}" for t, s in self.manifest["counts"].items() if s) or "nothing"
            absent = self.manifest["absent"].get(side)
            why = f" as {absent} was not there" if absent else ""
            raise RapportError(
                f"{self.folder} has no examples of {task} for {side}{why} ({there}): name the task in tasks of build_coe, or give it data "
                "for that side"
            )
        return examples_path(self.folder, task, side)

    def read(self, task: str, side: str) -> list[ErcExample]:
        """The examples of a task and side in the order of the conversations; raises as `path` does."""
        return read_records(self.path(task, side))

    @property
    def seeds_path(self) -> str:
        """The file of the examples with reasons.

        Raises RapportError when the build has none.
        """
        path = storage.join(self.folder, SEEDS)
        if not storage.exists(path):
            raise RapportError(f"{self.folder} has no seeds, from which a model learns to reason: name a file in seeds of build_coe")
        return path

    @property
    def knowledge_path(self) -> str | None:
        """The file of texts that stand in for what a published language model knows; None where the corpus brought none."""
        path = storage.join(self.folder, KNOWLEDGE)
        return path if storage.exists(path) else None

    def seeds(self) -> list[ErcExample]:
        """Examples of steer whose target gives reasons, then the label; none of them is in the pool. Raises as `seeds_path` does."""
        return read_records(self.seeds_path)

    def conversations(self) -> Conversations:
        """The conversations that the examples were made from, with their clues.

        Raises RapportError where the examples were taken in from flat files, which have none.
        """
        if not storage.exists(storage.join(self.folder, own.FILE)):
            raise RapportError(f"{self.folder} was taken in from flat files: its examples are prompts alone, without conversations")
        return own.read(self.folder, own.Options(dataset=self.corpus))

    def clues(self) -> Clues:
        """What is known of people and places; empty where the examples were taken in from flat files."""
        if not storage.exists(storage.join(self.folder, own.FILE)):
            return Clues()
        return self.conversations().clues

    def prompt(self) -> dict[str, Any]:
        """The settings that the prompts were rendered by, as `PromptConfig` of models/erc takes them."""
        return dict(self.manifest["prompt"])

    def texts(self) -> list[str]:
        """Prompts and answers of every task's training side and of the seeds: what a tokenizer may learn from."""
        tasks = (task for task in TASKS if self.has(task, "train"))
        examples = [e for task in tasks for e in self.read(task, "train")]
        if storage.exists(storage.join(self.folder, SEEDS)):
            examples += self.seeds()
        return [text for e in examples for text in (e.input, e.target)]


def open_examples(folder: str) -> ExampleStore:
    """The finished build in a folder.

    Raises RapportError when the folder is no finished build.
    """
    manifest = storage.read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise RapportError(f"{folder} holds {manifest.get('kind')!r}: wanted a folder that build_coe wrote")
    return ExampleStore(str(folder).rstrip("/"), manifest)


def find_examples(root: str, name_or_folder: str) -> str:
    """The newest finished build of a name below a storage root, or a folder or URI as given, made absolute.

    Raises RapportError that tells how to build it.
    """
    if "/" in name_or_folder or storage.is_complete(name_or_folder):
        open_examples(name_or_folder)
        return name_or_folder if "://" in name_or_folder else storage.resolve(name_or_folder)[1]
    folder = storage.join(root, "features", HOME, name_or_folder)
    finished = list(storage.completed(folder))
    if not finished:
        raise RapportError(f"no examples in {folder}: run python -m rapport.ray_jobs.build_coe --name {name_or_folder} --storage {root}")
    return finished[-1]


def examples_path(folder: str, task: str, side: str) -> str:
    """Where the examples of a task and side lie."""
    return storage.join(folder, "examples", task, f"{side}.jsonl")


def read_records(path: str) -> list[ErcExample]:
    """The examples of a file with one a line.

    Raises RapportError that names the line of one that is none.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted examples, one a line")
    return list(read_dataclass(path, ErcExample, labels=tuple))


def write_records(path: str, examples: Iterable[ErcExample]) -> None:
    """Write examples, one a line, whole or not at all; no example makes an empty file."""
    storage.write_bytes(path, to_json_lines([asdict(e) for e in examples]))


def check_mixture(stores: Sequence[ExampleStore]) -> None:
    """Raise RapportError unless the builds may be trained together: different corpora, none of which teaches what another asks about."""
    for one, other in combinations(stores, 2):
        if one.corpus == other.corpus:
            raise RapportError(
                f"{one.folder} and {other.folder} are both of {one.corpus}, whose lines could not be told apart: name one of them"
            )
    if len(stores) < 2:
        return
    if flat := [s.folder for s in stores if not storage.exists(storage.join(s.folder, own.FILE))]:
        raise RapportError(
            f"{', '.join(flat)} was taken in from flat files, of whose lines nobody can say whether another corpus asks about them: train "
            "on it alone, or build it from conversations (corpus own)"
        )
    told = [o for o in overlaps([s.conversations() for s in stores]) if o.shared]
    if told:
        names = {s.corpus: s.manifest["name"] for s in stores}
        first = told[0]
        asked, trained = (names[side.partition("/")[0]] for side in (first.asked, first.trained))
        raise RapportError(
            f"{'; '.join(map(str, told))}, the first as {first.asked_lines[0]} and {first.trained_lines[0]}: build {trained} with "
            f"--apart.builds {asked}, which takes them from its training side, or train on one of the corpora alone"
        )
