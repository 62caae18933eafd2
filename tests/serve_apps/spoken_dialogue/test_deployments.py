"""The model's deployment without Serve: who leaves is not answered to the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rapport.models.emosds.answer import Answer, Piece
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question, Reply
from rapport.models.emosds.engine import SpeechEngine, load_engine
from rapport.serve_apps.http.together import Caller, answered_together
from rapport.serve_apps.spoken_dialogue import deployments
from rapport.serve_apps.spoken_dialogue.deployments import DeployedService, DialogueModel

LONG = GenerationConfig(constrained=True, max_new_tokens=40, temperature=1.0)


def question(seed: int, generation: GenerationConfig = LONG) -> Question:
    return Question(np.random.default_rng(seed).normal(0, 0.1, 16_000).astype(np.float32), generation=generation, seed=seed)


@pytest.fixture(scope="module")
def engine(emosds_model: Path) -> SpeechEngine:
    return load_engine(emosds_model, device="cpu")


@pytest.fixture
def widths(engine: SpeechEngine) -> Any:
    """How many answers each pass through the model wrote at."""
    seen: list[int] = []
    output = engine.model.base.get_output_embeddings()
    handle = output.register_forward_hook(lambda _module, _inputs, logits: seen.append(len(logits)))
    yield seen
    handle.remove()


def together(engine: SpeechEngine, callers: Sequence[Caller], leave: dict[int, Sequence[int]]) -> list[Sequence[Any]]:
    """All steps, when at the end of some of them callers leave."""

    async def main() -> list[Sequence[Any]]:
        steps = []
        with ThreadPoolExecutor(1) as thread:
            async for found in answered_together(engine.stream, Piece, thread, callers):
                steps.append(found)
                for caller in leave.get(len(steps), ()):
                    callers[caller].gone.set()
        return steps

    return asyncio.run(main())


def replies(steps: Sequence[Sequence[Any]], caller: int) -> list[Reply]:
    return [item for found in steps if isinstance(found[caller], list) for item in found[caller] if isinstance(item, Reply)]


@pytest.mark.parametrize("other", [LONG, GenerationConfig(constrained=True, max_new_tokens=40)])
def test_who_leaves_makes_room_and_others_are_answered_as_ever(engine: SpeechEngine, widths: list[int], other: GenerationConfig) -> None:
    callers = [Caller(question(0, other)), Caller(question(1))]
    (alone,) = engine.reply([callers[1].question])
    widths.clear()
    steps = together(engine, callers, {2: [0]})
    assert not replies(steps, 0)
    assert [reply.answer for reply in replies(steps, 1)] == [alone.answer]
    assert sum(widths) == 2 + alone.answer_tokens + alone.finished


def test_when_all_have_left_the_work_ends(engine: SpeechEngine, widths: list[int]) -> None:
    callers = [Caller(question(number)) for number in range(3)]
    steps = together(engine, callers, {2: [0, 2], 4: [1]})
    assert len(steps) == 4
    assert widths == [3, 3, 1, 1]


def test_a_stream_that_is_closed_tells_the_batch(emosds_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callers: list[Caller] = []

    def alone(stream: Any, piece: type, thread: ThreadPoolExecutor, *_: object) -> Any:
        async def answers(caller: Caller) -> AsyncIterator[Any]:
            callers.append(caller)
            async for (found,) in answered_together(stream, piece, thread, [caller]):
                yield found

        return answers

    async def main(model: DialogueModel) -> None:
        stream = model.stream(question(0))
        await anext(stream)
        assert not callers[0].gone.is_set()
        await stream.aclose()
        assert isinstance(await model.reply(question(1)), Reply)

    monkeypatch.setattr(deployments, "batched", alone)
    folders = {"model": str(emosds_model), "codebook": "", "encoder": "", "device": "cpu"}
    asyncio.run(main(DialogueModel(folders, 4, 0.0)))
    assert [caller.gone.is_set() for caller in callers] == [True, True]


class Call:
    """A streaming call of a deployment, which after its items leaves one waiting."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.cancelled = False

    def __aiter__(self) -> "Call":
        return self

    async def __anext__(self) -> Any:
        return self.items.pop(0) if self.items else await asyncio.Event().wait()

    def cancel(self) -> None:
        self.cancelled = True


def streamed(call: Call, items: int) -> None:
    """Take so many items of what comes through a call, wait a little for one more if there is none, and leave."""

    async def main() -> None:
        handle = SimpleNamespace(stream=SimpleNamespace(remote=lambda _question: call))
        handle.options = lambda **_: handle
        async with aclosing(DeployedService(handle, handle, None).stream(question(0))) as stream:  # type: ignore[arg-type]
            for _ in range(items):
                await asyncio.wait_for(anext(stream), 0.05)

    asyncio.run(main())


def test_the_model_is_told_of_a_listener_who_leaves() -> None:
    piece, reply = Piece("user_emotion", "sad"), Reply(Answer("sad", "Hm."), True, 1, 1)
    left, heard, waited = Call(piece, reply), Call(piece, reply), Call(piece)
    streamed(left, 1)
    streamed(heard, 2)
    with pytest.raises(TimeoutError):
        streamed(waited, 2)
    assert [call.cancelled for call in (left, heard, waited)] == [True, False, True]
