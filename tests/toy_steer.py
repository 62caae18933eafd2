"""Lines whose words tell the emotion, a stage of self-taught reasoning over them, and a pupil that stands in for its model."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rapport.core.conversations import ErcExample
from rapport.datasets.conversations.examples import read_records, write_records
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import ErcGenerationConfig, ErcModelConfig, ErcTrainableConfig
from rapport.models.erc.pretrained import build_model, save_pretrained
from rapport.models.ser.config import LoraConfig
from rapport.ray_jobs.coe_rollouts.config import ModelRef, RolloutConfig
from rapport.ray_jobs.coe_training.sft import SftSettings, SftTask
from rapport.ray_jobs.coe_training.steer.config import SteerConfig
from rapport.ray_jobs.coe_training.steer.stage import SteerSetup
from rapport.ray_jobs.training_runs.config import WorkersConfig
from tests.models.erc.tiny_llm import decisive

LABELS = ("sad", "joyful", "angry")
SAID = {"sad": "the cat is gone", "joyful": "we won the cup", "angry": "they broke my bike"}
WHY = {"sad": "a loss that weighs on", "joyful": "good news that lifts", "angry": "a wrong that was done to"}
NAMES = ("Tom", "Lucy", "Kim", "Sam", "Ana", "Ben")
MODEL = ErcModelConfig(base="embedded", embedded=EmbeddedLlamaConfig(hidden=32, layers=2, heads=2, mlp=64, vocabulary=300))


def example(number: int, split: str = "train") -> ErcExample:
    """A line with a bare label as its answer."""
    gold, name = LABELS[number % 3], NAMES[number % 6]
    said = f"{SAID[gold]} {'now ' * (number % 4)}"
    prompt = f"DIALOGUE:\n{name}: {said}{number}\nQUESTION: why, then the label\nLABELS: {', '.join(LABELS)}\nANSWER:"
    return ErcExample(f"toy/{split}/d{number}/0/steer", "steer", prompt, gold, gold, LABELS)


def reasons(asked: ErcExample, label: str | None = None) -> str:
    """An answer that gives reasons and a label, the right one unless told."""
    name = asked.input.split("\n")[1].split(":")[0]
    label = label or asked.gold
    return f"{name} tells of {WHY[label]} {name} in line {asked.example_id.split('/')[2]}, and it shows.\n<{label}>"


def seed_example(number: int) -> ErcExample:
    """A line of train with reasons."""
    asked = example(number)
    return ErcExample(asked.example_id, "steer", asked.input, reasons(asked), asked.gold, LABELS)


def texts() -> list[str]:
    """What a tokenizer learns from."""
    return [text for number in range(12) for text in (example(number).input, reasons(example(number)))]


class Pupil:
    """Trains and answers in place of a model: after `n` trainings it knows the lines of the first `n` ranks; `rank` gives a line's, from 1.

    To a line that it does not know it answers with the next label of the list.
    """

    def __init__(self, rank: Callable[[ErcExample], int], asked: Sequence[ErcExample]) -> None:
        self._rank, self._asked = rank, {e.example_id: e for e in asked}
        self._model = decisive(build_model(MODEL, texts()))
        self.tasks: list[SftTask] = []
        self.prompts: list[tuple[str, str]] = []

    def train(self, task: SftTask, workers: WorkersConfig, *, quiet: bool) -> dict[str, Any]:
        """As `train_sft`."""
        self.tasks.append(task)
        save_pretrained(self._model, task.model_folder, facts={"label": task.label})
        return {"epochs": task.settings.training.epochs}

    def ask(
        self,
        prompts: Sequence[Prompt],
        model: ModelRef,
        generation: ErcGenerationConfig,
        config: RolloutConfig,
        parts: str | None,
        tell: Callable[[str], None],
    ) -> list[Written]:
        """As `write_answers`."""
        self.prompts += [(prompt.example_id, prompt.text) for prompt in prompts]
        level = int(str(model.model)[-2:]) + 1
        return [
            Written(p.example_id, self.answer(p, level, sample), 20, True, 30, sample)
            for p in prompts
            for sample in range(generation.samples)
        ]

    def answer(self, prompt: Prompt, level: int, sample: int) -> str:
        """What the pupil of that level says; a hint tells it the label, which it repeats."""
        line = self._asked[prompt.example_id]
        if self._rank(line) <= level or "HINT" in prompt.text:
            return reasons(line).replace("shows", f"shows {'so ' * sample}much")
        return reasons(line, LABELS[(LABELS.index(line.gold) + 1) % 3])

    def trained_on(self, number: int) -> list[str]:
        """Ids that the training of that round saw."""
        return [e.example_id for path in self.tasks[number].train for e in read_records(path)]


class ToyStage:
    """A stage with 3 seeds and a pool of 12 lines, of which the pupil learns four a round."""

    def __init__(self, folder: Path, rank: Callable[[ErcExample], int] | None = None, **settings: Any) -> None:
        self.folder = folder / "stage"
        self.seeds, self.pool = [seed_example(n) for n in range(3)], [example(n) for n in range(3, 15)]
        self.validation = [example(n, "validation") for n in range(20, 26)]
        for name in ("seeds", "pool", "validation"):
            write_records(str(folder / f"{name}.jsonl"), getattr(self, name))
        config = {"first_rollout": 0, "rounds": 3, **settings}
        self.setup = SteerSetup(
            folder=str(self.folder),
            label="toy steer",
            config=SteerConfig.model_validate(config),
            settings=SftSettings(model=MODEL, trainable=ErcTrainableConfig(lora=LoraConfig(rank=0))),
            start_from="before",
            base="base",
            pool=(str(folder / "pool.jsonl"),),
            seeds=(str(folder / "seeds.jsonl"),),
            validation=(str(folder / "validation.jsonl"),),
        )
        ids = [e.example_id for e in self.pool]
        by_place = rank or (lambda e: 1 + (ids.index(e.example_id) // 4 if e.example_id in ids else 1))
        self.pupil = Pupil(by_place, [*self.pool, *self.validation])

    def rows(self, kind: str, number: int) -> list[dict[str, Any]]:
        """Lines of an artefact."""
        return [json.loads(line) for line in (self.folder / kind / f"round_{number:02d}.jsonl").read_text().splitlines()]

    def data(self) -> dict[str, bytes]:
        """Every artefact but models, and records of rounds, which tell seconds."""
        kinds = ("rollouts", "validation", "memory", "pool")
        return {f"{kind}/{f.name}": f.read_bytes() for kind in kinds for f in sorted((self.folder / kind).iterdir())}


def taught_model(steps: int = 100) -> ErcModel:
    """A small model that has learned to give reasons and, of many lines, the right label."""
    model = build_model(MODEL, texts(), seed=1)
    examples = [seed_example(n) for n in range(24)]
    batch = model.collator()(examples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        output = model(**batch)
        optimizer.zero_grad()
        (output["loss_sum"] / output["token_count"]).backward()
        optimizer.step()
    return model.eval()
