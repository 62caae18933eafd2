"""One round of self-taught reasoning: train on the memory, ask the pool, file the answers, seal."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rapport.core import storage
from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.examples import read_records, write_records
from rapport.datasets.conversations.tables import to_json_lines
from rapport.models.backends.llm.base import load_tokenizer
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.erc.answers import Rollout, add_hint
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model_config import ErcGenerationConfig
from rapport.ray_jobs.coe_rollouts.ask import model_ref
from rapport.ray_jobs.coe_rollouts.config import ModelRef, RolloutConfig
from rapport.ray_jobs.coe_training.sft import SftTask
from rapport.ray_jobs.coe_training.steer.artefacts import StageFiles, file_hash, seal_round
from rapport.ray_jobs.coe_training.steer.memory import Harvest, harvest, rollouts_of, some_of, watched, wrong
from rapport.ray_jobs.coe_training.steer.published import published_harvest
from rapport.ray_jobs.coe_training.steer.stage import SteerSetup
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.ray_jobs.training_runs.run_folder import CHECKPOINTS
from rapport.training.sampler import derive_seed


class Train(Protocol):
    """`rapport.ray_jobs.coe_training.sft.train_sft`, or what stands in for it."""

    def __call__(self, task: SftTask, workers: WorkersConfig, *, quiet: bool) -> Mapping[str, Any]:
        """Train, save the model in `task.model_folder`, and give figures (JSON)."""
        ...


class Ask(Protocol):
    """`rapport.ray_jobs.coe_rollouts.ask.write_answers`, or what stands in for it."""

    def __call__(
        self,
        prompts: Sequence[Prompt],
        model: ModelRef,
        generation: ErcGenerationConfig,
        config: RolloutConfig,
        parts: str | None,
        tell: Callable[[str], None],
    ) -> list[Written]:
        """Answers to every prompt."""
        ...


class Round:
    """A round of a stage. `last` says that it only trains, and asks no pool."""

    def __init__(self, setup: SteerSetup, number: int, *, last: bool, train: Train, ask: Ask, quiet: bool) -> None:
        self.setup, self.number, self.last, self.quiet = setup, number, last, quiet
        self.files = StageFiles(setup.folder)
        self._train_sft, self._write_answers = train, ask

    def run(self, before: str) -> dict[str, Any]:
        """The sealed record of the round, which follows the seal `before`. What a killed run of it left is used, or written again."""
        began_s, files, number = time.monotonic(), self.files, self.number
        memory, pool = read_records(files.memory(number)), read_records(files.pool(number))
        training = self._train()
        asks = not self.last and number >= self.setup.config.first_rollout
        found, rows, figures = self._ask(memory, pool if asks else [])
        kept = [files.model(number)]
        if asks:
            storage.write_bytes(files.rollouts(number), to_json_lines(found.rows))
            kept.append(files.rollouts(number))
        if rows:
            storage.write_bytes(files.validation(number), to_json_lines(rows))
            kept.append(files.validation(number))
        if not self.last:
            memory = memory + found.accepted
            write_records(files.memory(number + 1), memory)
            write_records(files.pool(number + 1), found.pool)
            kept += [files.memory(number + 1), files.pool(number + 1)]
        if number == 0:
            kept += [files.memory(0), files.pool(0)]
        told = {
            "asks": asks,
            "last": self.last,
            **found.figures,
            "memory": len(memory),
            "pool": len(pool if self.last else found.pool),
            "validation": figures,
            "training": dict(training),
            "seconds": time.monotonic() - began_s,
        }
        record = seal_round(files, number, kept, told, before)
        # Nothing reads these again: answers in parts are together now, and the model is saved.
        storage.remove(files.parts(number))
        storage.remove(storage.join(files.training(number), CHECKPOINTS))
        self._tell(f"{_told(record)}, {record['seconds']:.0f} s")
        return record

    def _train(self) -> Mapping[str, Any]:
        setup, files, number = self.setup, self.files, self.number
        seeds = (files.memory(0),) * (setup.config.repeat_seeds - 1)
        # The published code never trains on what it harvests.
        files_read = (files.memory(0),) if setup.published else (files.memory(number), *seeds)
        start = {"stage_init": setup.start_from, "base": setup.base, "continue": files.model(number - 1) if number else setup.start_from}
        seed = derive_seed(setup.seed, "round", number)
        task = SftTask(
            folder=files.training(number),
            model_folder=files.model(number),
            label=f"{setup.label} round {number}",
            settings=setup.settings.model_copy(update={"training": setup.config.training, "seed": seed}),
            start_from=start[setup.config.restart_from],
            train=files_read,
            validation=(),
            tokenizer=setup.tokenizer,
            texts=setup.texts,
            lineage={**setup.lineage, "round": number, "memory": file_hash(files_read[0])},
        )
        return self._train_sft(task, setup.workers, quiet=self.quiet)

    def _ask(self, memory: list[ErcExample], pool: list[ErcExample]) -> tuple[Harvest, list[dict[str, Any]], dict[str, Any] | None]:
        """What becomes of the answers to the pool; rows and figures of the answers to validation."""
        setup, config = self.setup, self.setup.config
        lines = some_of([e for path in setup.validation for e in read_records(path)], config.validation_examples, setup.seed)
        model = model_ref(self.files.model(self.number))
        if pool:
            self._check_room(pool)
        greedy = config.generation.model_copy(update={"temperature": 0.0, "samples": 1})
        if greedy == config.generation:
            # One pool of actors for both: a large model is opened once.
            together = self._written([*pool, *lines], model, greedy, "answers")
            names = {e.example_id for e in lines}
            seen, written = [w for w in together if w.example_id in names], [w for w in together if w.example_id not in names]
        else:
            written = self._written(pool, model, config.generation, "answers")
            seen = self._written(lines, model, greedy, "validation")
        rows, figures = watched(lines, seen) if lines else ([], None)
        return self._harvest(memory, pool, written, model), rows, figures

    def _harvest(self, memory: list[ErcExample], pool: list[ErcExample], written: list[Written], model: ModelRef) -> Harvest:
        config = self.setup.config
        if not pool:
            return Harvest([], [], read_records(self.files.pool(self.number)), {"asked": 0, "solved": 0, "accepted": 0})
        if self.setup.published:
            return published_harvest(pool, {w.example_id: w.text for w in written}, self.setup.published, self.number)
        rollouts = rollouts_of(written)
        if config.answers.hint:
            rollouts += self._hinted(wrong(pool, rollouts), model)
        collator = self._collator()
        seed = derive_seed(self.setup.seed, "harvest", self.number)
        return harvest(pool, rollouts, memory, config.answers, lambda text: collator.count_answer(text) - 1, number=self.number, seed=seed)

    def _hinted(self, examples: list[ErcExample], model: ModelRef) -> list[Rollout]:
        """Answers to examples whose label is told in the prompt."""
        told = [Prompt(e.example_id, add_hint(e)) for e in examples]
        return rollouts_of(self._written(told, model, self.setup.config.generation, "hints"), hinted=True)

    def _written(
        self, asked: Sequence[ErcExample] | Sequence[Prompt], model: ModelRef, generation: ErcGenerationConfig, part: str
    ) -> list[Written]:
        # By name: the published code leaves examples in its pool twice, and they would be answered alike.
        prompts = {e.example_id: e if isinstance(e, Prompt) else Prompt(e.example_id, e.input) for e in asked}
        parts = storage.join(self.files.parts(self.number), part)
        tell = lambda line: self._tell(f"{part}: {line}")  # noqa: E731
        return self._write_answers(list(prompts.values()), model, generation, self.setup.rollouts, parts, tell) if prompts else []

    def _check_room(self, pool: list[ErcExample]) -> None:
        """Raises RapportError when a right answer could be too long to be learned: it would end the training of the next round."""
        config, collator = self.setup.config, self._collator()
        most = min(config.answers.max_tokens, config.generation.max_new_tokens)
        longest = max(len(ids) for ids in collator.prompt_ids([e.input for e in pool]))
        if not collator.config.published and longest + most + 1 > collator.config.max_tokens:
            raise RapportError(
                f"prompts have up to {longest} tokens and answers may have {most}, and model.tokens.max_tokens is "
                f"{collator.config.max_tokens}: raise it, lower answers.max_tokens or generation.max_new_tokens, or build the prompts for "
                "fewer tokens"
            )

    def _collator(self) -> ErcCollator:
        """What counts tokens as the model of this round does."""
        model = model_ref(self.files.model(self.number)).model
        source, revision = (storage.join(model, "base"), None) if isinstance(model, str) else (model.base, model.revision)
        tokenizer = load_tokenizer(source, revision)
        ensure_pad(tokenizer)
        return ErcCollator(tokenizer, self.setup.settings.model.tokens)

    def _tell(self, line: str) -> None:
        if not self.quiet:
            print(f"{self.setup.label} round {self.number}: {line}", file=sys.stderr, flush=True)


def _told(record: Mapping[str, Any]) -> str:
    """A record in a line."""
    said = []
    if record["asked"]:
        said.append(f"solved {record['solved']} of {record['asked']} ({record['acceptance']:.1%})")
    said.append(f"memory {record['memory']}, unsolved {record['pool']}")
    if record["validation"]:
        said.append(f"weighted F1 with reasons {record['validation']['weighted_f1']:.1%}")
    return ", ".join(said)
