"""Free-running answers to many examples: Ray Data, with a model on a pool of actors.

What travels is small: rows of examples out, texts and sums back. Logits never leave the device.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rapport.core.examples import Example
from rapport.core.units import SpeechUnits
from rapport.datasets.emosds.examples import from_table, to_table
from rapport.datasets.ray_data import quiet
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.subject import Contender, Subject

if TYPE_CHECKING:
    from rapport.models.emosds.generation import Generated

_EXAMPLES_PER_ACTOR = 200


class Answerer:
    """One contender on one actor. A batch of examples comes back as their answers, and the sums of the teacher-forced proxy."""

    def __init__(self, contender: Contender, config: EvaluateEmosdsConfig, corpora: Sequence[str], device: str):
        import torch

        from rapport.datasets.unit_store import open_units
        from rapport.models.emosds.generation import Generator
        from rapport.models.emosds.pretrained import from_pretrained

        self._model = from_pretrained(contender.model).to(torch.device(device))
        self._generator = Generator(self._model, config.generation)
        self._collator = self._model.collator()
        self._teacher_forced = config.teacher_forced and contender.transcriber is None
        self._units = open_units(contender.units) if contender.units else None
        self._hear = _ears(contender.transcriber, corpora) if contender.transcriber else None

    def answer(self, examples: Sequence[Example]) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """A row for each example, in order, and `loss_sum`, `token_count`, `correct` of the proxy (empty when it is not measured)."""
        heard = [replace(e, text=self._hear(e.utterance_id)) for e in examples] if self._hear else list(examples)
        fits = [length <= self._model.settings.max_tokens for length in self._lengths(heard)]
        some = [e for e, fit in zip(heard, fits, strict=True) if fit]
        speech = [self._units.get(e.utterance_id) if self._units else None for e in some]
        found = iter(self._generator.generate(some, speech))
        rows = [_row(e, next(found) if fit else None, bool(self._hear)) for e, fit in zip(heard, fits, strict=True)]
        return rows, self._proxy(some, speech) if self._teacher_forced and some else {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The same for Ray Data: `examples` is an Arrow table of them as bytes, `answers` and `proxy` come back as JSON."""
        import pyarrow as pa

        answers, proxies = [], []
        for table in batch["examples"]:
            rows, proxy = self.answer(from_table(pa.ipc.open_stream(table).read_all()))
            answers.append(json.dumps(rows, ensure_ascii=False))
            proxies.append(json.dumps(proxy))
        return {"answers": answers, "proxy": proxies}

    def _lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of question and right answer."""
        speech = [self._units.lengths(e.utterance_id) if self._units else (0, 0) for e in examples]
        lengths: list[int] = self._collator.lengths(examples, speech).tolist()
        return lengths

    def _proxy(self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None]) -> dict[str, float]:
        import torch

        with torch.inference_mode():
            batch = {k: v.to(self._model.device) for k, v in self._collator(examples, speech).items()}
            output = self._model(**batch)
        return {name: float(output[name]) for name in ("loss_sum", "token_count", "correct")}


def answers(
    subject: Subject, contender: Contender, config: EvaluateEmosdsConfig
) -> Iterator[tuple[list[dict[str, Any]], dict[str, float]]]:
    """Rows and proxy sums of one batch after another, in the order in which they come in. Ray must be initialised."""
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy

    batches = [subject.examples[i : i + config.batch_size] for i in range(0, len(subject.examples), config.batch_size)]
    resources = ray.cluster_resources()
    gpus = config.gpus_per_actor if config.gpus_per_actor is not None else float(resources.get("GPU", 0) >= 1)
    actors = config.actors or actor_count(resources, gpus, len(subject.examples), len(batches))
    with quiet():
        # Batches are items of their own, so that each holds examples of like length whichever actor takes it.
        items = [{"examples": _packed(batch)} for batch in batches]
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Answerer,
            fn_constructor_kwargs={
                "contender": contender,
                "config": config,
                "corpora": subject.corpora,
                "device": "cuda" if gpus else "cpu",
            },
            batch_size=1,
            batch_format="numpy",
            compute=ActorPoolStrategy(size=actors),
            num_gpus=gpus or None,
            num_cpus=None if gpus else 1,
        )
        for row in dataset.iter_rows():
            yield json.loads(row["answers"]), json.loads(row["proxy"])


def actor_count(resources: dict[str, float], gpus: float, examples: int, batches: int) -> int:
    """As many as the cluster holds, but no more than there is work for: loading a model takes seconds."""
    most = resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1)
    return max(1, min(int(most), -(-examples // _EXAMPLES_PER_ACTOR), batches))


def _packed(examples: Sequence[Example]) -> bytes:
    import pyarrow as pa

    table = to_table(examples)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _ears(name: str, corpora: Sequence[str]) -> Any:
    """A function from utterance id to the words that a recogniser hears."""
    from rapport.core.errors import RapportError
    from rapport.datasets.prepared import merge, open_prepared
    from rapport.models.backends.transcribers import load_transcriber

    transcriber = load_transcriber(name)
    if transcriber is None:
        raise RapportError("cascade.transcriber is off")
    speech = merge([open_prepared(path) for path in corpora])
    return lambda utterance_id: transcriber.transcribe(speech.waveform(utterance_id))


def _row(example: Example, given: "Generated | None", recognised: bool) -> dict[str, Any]:
    """An answer as it travels; None stands for an example that does not fit into the model's context."""
    row = {"example_id": example.example_id, "recognised": example.text if recognised else None}
    if given is None:
        empty = dict.fromkeys(("given_text", "given_emotion", "given_reply_emotion", "given_reply_text", "output"))
        return {**row, **empty, "finished": False, "tokens": 0, "malformed": "the question does not fit into max_tokens"}
    return {
        **row,
        "output": given.text,
        "finished": given.finished,
        "tokens": len(given.ids),
        "given_text": given.answer.transcript,
        "given_emotion": given.answer.user_emotion,
        "given_reply_emotion": given.answer.reply_emotion,
        "given_reply_text": given.answer.reply,
        "malformed": given.answer.malformed,
        "emotion_scores": _scores(given.user_scores),
        "reply_emotion_scores": _scores(given.reply_scores),
    }


def _scores(scores: dict[str, float] | None) -> dict[str, float] | None:
    return None if scores is None else {name: round(value, 4) for name, value in scores.items()}
