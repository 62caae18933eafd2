"""What self-training's answers cost: the engine beside `transformers.generate`, sorted prompts beside unsorted, scoring beside writing.

    python benchmarks/steer.py
    python benchmarks/steer.py --part rollouts --model ~/rapport/models/coe/NAME --json steer.json

Three parts on made conversations that no training saw. Contenders take turns, figures are medians over turns, and answers must be the same.
Without --model, a small one learns for about a minute to give reasons and labels, and to end its answers.

    rollouts   answers with reasons a second: our engine, beside `generate` one prompt at a time with a cap of 256 tokens and no sorting
               (goal: 10 times as fast), and beside `generate` in unsorted batches of eight, as the published code has it
    sorting    answers with reasons a second of our engine in batches of equally many rows: prompts of like length together, beside prompts
               as they come
    scoring    labels a second: the likeliest of the closed set by its likelihood, beside labels written, by our engine and one by one
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rapport.core.conversations import ErcExample
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ScoringConfig

GOAL = 10
PUBLISHED_ROWS = 8
SEED = 0
Figures = dict[str, Any]
Answers = dict[str, tuple[str, int]]
"""Example id to the answer and the tokens that were written, that which ends it included."""


def main() -> None:
    options = _options()
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="steer-bench-") as scratch:
        bench = open_bench(options.model or write_model(Path(scratch) / "model", options), options)
        for name, part in (("rollouts", rollouts), ("sorting", sorting), ("scoring", scoring)):
            if options.part in ("all", name):
                results[name] = {**part(bench, options), "device": str(bench.engine.model.device), "threads": options.threads}
                print(name, *(f"  {line}" for line in results[name]["told"]), sep="\n", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Bench:
    """What all parts need."""

    engine: Any
    """A `TransformersEngine`."""
    steer: list[ErcExample]
    """Questions for reasons, in the order of the conversations."""
    erc: list[ErcExample]
    """Questions for the label alone."""
    exact: bool
    """Whether answers must be the same: bfloat16 rounds otherwise in other batches."""


def open_bench(model: str, options: argparse.Namespace) -> Bench:
    """The model, and questions that it has not seen."""
    from rapport.models.erc.engine import open_engine

    _set_threads(options.threads)
    found = _examples(options)
    engine = open_engine(model, EngineConfig(dtype=options.dtype))
    return Bench(engine, found["steer"]["test"][: options.prompts], found["erc"]["test"][: options.prompts], options.dtype == "float32")


def write_model(folder: Path, options: argparse.Namespace) -> str:
    """A model of the embedded size that gives reasons and labels of made conversations, from a short training."""
    from rapport.models.erc.collate import ErcData
    from rapport.models.erc.model import apply_trainable
    from rapport.models.erc.model_config import ErcTrainableConfig
    from rapport.models.erc.pretrained import build_model, save_pretrained
    from rapport.models.ser.config import LoraConfig
    from rapport.training.config import AdamWConfig
    from rapport.training.sft import LanguageData, train_language_model
    from rapport.training.sft_config import SftConfig

    _set_threads(options.threads)
    found = _examples(options)
    learned = [*found["steer"]["train"], *found["erc"]["train"]]
    began_s = time.perf_counter()
    model = build_model(ErcModelConfig(base="embedded"), [text for e in learned for text in (e.input, e.target)], SEED)
    apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=0)), SEED)
    training = SftConfig(epochs=options.epochs, batch_tokens=2048, optim=AdamWConfig(lr=2e-3), selection="last")
    result = train_language_model(model, LanguageData(ErcData(learned, model.collator())), training, seed=SEED)
    save_pretrained(model, folder, weights=result.last)
    loss = result.history[-1]["train"]["loss"]
    print(f"learned {len(learned)} examples in {time.perf_counter() - began_s:.0f} s, loss {loss:.3f}", file=sys.stderr, flush=True)
    return str(folder)


def rollouts(bench: Bench, options: argparse.Namespace) -> Figures:
    """Answers with reasons a second of each contender."""
    config = ErcGenerationConfig(max_new_tokens=options.tokens)
    contenders: dict[str, Callable[[], Answers]] = {
        "engine": partial(_ours, bench, [bench.steer], config),
        "one by one": partial(_theirs, bench, bench.steer, config, 1),
        "eight at a time": partial(_theirs, bench, bench.steer, config, PUBLISHED_ROWS),
    }
    found, answers, told = _compared(bench, contenders, options.rounds, "answers a second")
    lengths = [tokens for _, tokens in answers.values()]
    told.append(
        f"{len(lengths)} answers, {statistics.mean(lengths):.0f} tokens on average, {sum(n >= options.tokens for n in lengths)} stopped by "
        f"the cap of {options.tokens}; prompts of {statistics.mean(_prompt_lengths(bench, bench.steer)):.0f} tokens"
    )
    ratios = {name: _ratio(found["engine"], found[name]) for name in list(contenders)[1:]}
    told += [f"engine beside {name}: {ratio:.1f} x" for name, ratio in ratios.items()]
    told.append(f"goal: {GOAL} x one by one")
    return {"told": told, "answers_per_s": found, "ratio": ratios, "mean_tokens": statistics.mean(lengths)}


def sorting(bench: Bench, options: argparse.Namespace) -> Figures:
    """Answers a second and padding in batches of equally many rows."""
    lengths = _prompt_lengths(bench, bench.steer)
    # Rows alone limit a batch, so that both contenders have the same number of them.
    room = options.rows * (max(lengths) + options.tokens)
    config = ErcGenerationConfig(max_new_tokens=options.tokens, batch_rows=options.rows, batch_tokens=room)
    orders = {"sorted": sorted(range(len(lengths)), key=lambda i: -lengths[i]), "as they come": list(range(len(lengths)))}
    batches = {name: [order[i : i + options.rows] for i in range(0, len(order), options.rows)] for name, order in orders.items()}
    contenders = {name: partial(_ours, bench, [[bench.steer[i] for i in b] for b in parts], config) for name, parts in batches.items()}
    found, _, told = _compared(bench, contenders, options.rounds, "answers a second")
    padding = {name: 1 - sum(lengths) / sum(len(b) * max(lengths[i] for i in b) for b in parts) for name, parts in batches.items()}
    told += [f"{name}: {100 * share:.1f} % of the prompts' tokens are padding" for name, share in padding.items()]
    ratio = _ratio(found["sorted"], found["as they come"])
    told.append(f"sorted beside as they come: {ratio:.2f} x, batches of {options.rows}")
    return {"told": told, "answers_per_s": found, "padding": padding, "ratio": ratio}


def scoring(bench: Bench, options: argparse.Namespace) -> Figures:
    """Labels a second, chosen and written."""
    config = ErcGenerationConfig(max_new_tokens=options.tokens)
    writers: dict[str, Callable[[], Answers]] = {
        "written": partial(_ours, bench, [bench.erc], config),
        "written one by one": partial(_theirs, bench, bench.erc, config, 1),
    }
    written = {name: write() for name, write in writers.items()}
    told = _same(bench, written)
    chosen = _chosen(bench)
    contenders: dict[str, Callable[[], Any]] = {"scored": partial(_chosen, bench), **writers}
    found = _in_turns({name: partial(_pace, work, len(bench.erc)) for name, work in contenders.items()}, options.rounds, "labels a second")
    told = [*(f"{name:20} {_spread(paces)} labels a second" for name, paces in found.items()), *told]
    texts = {name: text for name, (text, _) in written["written"].items()}
    alike = statistics.mean(texts[name] == label for name, label in chosen.items())
    invalid = statistics.mean(texts[e.example_id] not in e.labels for e in bench.erc)
    told.append(f"{100 * alike:.1f} % of the labels written are the one scored highest, {100 * invalid:.1f} % are no label")
    ratios = {name: _ratio(found["scored"], found[name]) for name in writers}
    told += [f"scored beside {name}: {ratio:.2f} x" for name, ratio in ratios.items()]
    return {"told": told, "labels_per_s": found, "ratio": ratios, "alike": alike, "invalid": invalid}


def _ours(bench: Bench, parts: Sequence[Sequence[ErcExample]], config: ErcGenerationConfig) -> Answers:
    """Answers by our engine, one part after the other."""
    from rapport.models.erc.generation import Prompt

    asked = ([Prompt(e.example_id, e.input) for e in part] for part in parts)
    return {a.example_id: (a.text, a.tokens) for part in asked for a in bench.engine.generate(part, config)}


def _theirs(bench: Bench, examples: Sequence[ErcExample], config: ErcGenerationConfig, rows: int) -> Answers:
    """Answers by `transformers`, so many prompts at a time in the order in which they come."""
    import torch

    model, collator = bench.engine.model, bench.engine.collator
    ends = sorted(model.ends)
    answers: Answers = {}
    with torch.inference_mode():
        for start in range(0, len(examples), rows):
            part = examples[start : start + rows]
            batch = {name: tensor.to(model.device) for name, tensor in collator.prompts([e.input for e in part]).items()}
            read = batch["input_ids"].shape[1]
            written = model.base.generate(
                **batch, max_new_tokens=config.max_new_tokens, do_sample=False, num_beams=1, eos_token_id=ends, pad_token_id=collator.pad
            )
            for example, ids in zip(part, written[:, read:].tolist(), strict=True):
                last = next((place for place, token in enumerate(ids) if token in ends), None)
                answers[example.example_id] = (collator.decode(ids[:last]), len(ids) if last is None else last + 1)
    return answers


def _chosen(bench: Bench) -> dict[str, str]:
    """Example id to the likeliest label."""
    from rapport.models.erc.scoring import Choice

    choices = [Choice(e.example_id, e.input, e.labels) for e in bench.erc]
    return {scored.example_id: scored.label for scored in bench.engine.score(choices, ScoringConfig())}


def _compared(
    bench: Bench, contenders: Mapping[str, Callable[[], Answers]], rounds: int, unit: str
) -> tuple[dict[str, list[float]], Answers, list[str]]:
    """The paces of contenders that write, what the first of them wrote, and lines that tell both. Their first answers warm up."""
    answers = {name: write() for name, write in contenders.items()}
    same = _same(bench, answers)
    first = next(iter(answers.values()))
    found = _in_turns({name: partial(_pace, write, len(first)) for name, write in contenders.items()}, rounds, unit)
    return found, first, [*(f"{name:20} {_spread(paces)} {unit}" for name, paces in found.items()), *same]


def _same(bench: Bench, answers: Mapping[str, Answers]) -> list[str]:
    """How many answers are those of the first contender, where they need not be the same."""
    (name, first), *others = answers.items()
    told = []
    for other, found in others:
        unlike = [example for example, answer in first.items() if found[example] != answer]
        if unlike and bench.exact:
            example = unlike[0]
            raise SystemExit(f"{len(unlike)} answers differ, first {example}: {name} {first[example]}, {other} {found[example]}")
        told.append(f"{len(first) - len(unlike)}/{len(first)} answers of {name} and {other} are the same")
    return told


def _examples(options: argparse.Namespace) -> Mapping[str, Mapping[str, list[ErcExample]]]:
    """Questions about made conversations by task and side; those of train for reasons have them."""
    from rapport.datasets.synthetic.dramas import DramaConfig, make_dramas, rationale_for
    from rapport.models.erc.answers import with_reasons
    from rapport.models.erc.build import build_examples
    from rapport.models.erc.config import PromptConfig
    from rapport.models.erc.templates import line_key

    # Seven lines in every conversation at least.
    made = make_dramas(DramaConfig(train=options.conversations, validation=1, test=1 + options.prompts // 7), SEED)
    config = PromptConfig(wording=options.wording)
    built = build_examples(made.conversations, made.clues, config, made.labels, tasks=("steer", "erc")).examples
    speakers = {(c.split, c.dialogue_id, line.turn): line.speaker for c in made.conversations for line in c.lines}

    def reasoned(example: ErcExample) -> ErcExample:
        _, split, dialogue, turn = line_key(example.example_id)
        beat = made.beats[f"{split}/{dialogue}", turn]
        return with_reasons(example, rationale_for(speakers[split, dialogue, turn], beat, example.gold))

    steer = {side: [reasoned(e) for e in found] if side == "train" else found for side, found in built["steer"].items()}
    return {"steer": steer, "erc": built["erc"]}


def _prompt_lengths(bench: Bench, examples: Sequence[ErcExample]) -> list[int]:
    return [len(ids) for ids in bench.engine.collator.prompt_ids([e.input for e in examples])]


def _pace(work: Callable[[], object], count: int) -> float:
    began_s = time.perf_counter()
    work()
    return count / (time.perf_counter() - began_s)


def _in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int, unit: str) -> dict[str, list[float]]:
    """What each contender measured in all its turns; who begins alternates."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
            found[name].append(contenders[name]())
        line = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in found.items())
        print(f"turn {turn + 1}/{rounds}: {line} {unit}", file=sys.stderr, flush=True)
    return found


def _spread(values: list[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{statistics.median(values):8.2f} (quartiles {low:.2f} to {high:.2f})"


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["all", "rollouts", "sorting", "scoring"], default="all", help="what to measure")
    parser.add_argument("--model", default="", help="folder of a trained model; a small one is trained unless given")
    parser.add_argument("--wording", choices=["short", "full"], default="short", help="wording of the prompts: that which --model learned")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="in bfloat16 answers need not be equal")
    parser.add_argument("--conversations", type=int, default=200, help="made conversations that the small model learns from")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of that training")
    parser.add_argument("--prompts", type=int, default=192, help="prompts of a turn")
    parser.add_argument("--tokens", type=int, default=256, help="longest answer")
    parser.add_argument("--rows", type=int, default=32, help="rows of a batch of the part sorting")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processors")
    parser.add_argument("--json", default="", help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
