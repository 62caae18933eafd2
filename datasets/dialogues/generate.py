"""Dialogues by a language model: a scenario for each sentence and emotion, checked, asked for again when it is not in order.

    chat = open_chat(ChatConfig(model="..."))                    # an OpenAI-compatible server; any function of messages will do
    outcome = generate(wishes, chat, folder, GenerateConfig())   # concurrent, paced, resumable

Accepted scenarios are kept one by one in `accepted.jsonl`: a job that was killed asks only for what is missing.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.datasets.dialogues.emosc import EMOTION_OF, KEYS, Scenario, Unusable, balance, parse_record, sentence_key, to_record

Messages = Sequence[Mapping[str, str]]
Chat = Callable[[Messages], str]
"""The answer of a language model to messages of `role` and `content`; raises `Busy` when asking again later may help."""
ACCEPTED = "accepted.jsonl"

_TAG_OF = {emotion: tag for tag, emotion in EMOTION_OF.items()}
_RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
_INSTRUCTION = f"""You write short everyday dialogues between a person (A) and a voice assistant (B) as JSON, and nothing besides.
The object has exactly these keys: {", ".join(KEYS)}.
- history_turns: a list of three turns, by B, A and B, that lead up to the sentence you are given without repeating it.
- current_turn1: by A, the sentence you are given, word for word, with the emotion you are given.
- current_turn2: by A, the same sentence, word for word, with another emotion in which it could as well be said.
- response_turn1, response_turn2: by B, one sentence each, which answers the words and the emotion of its current turn.
Every turn is one informal sentence in the form "A: <emotion> text", with an emotion of {", ".join(f"<{tag}>" for tag in EMOTION_OF)}.
The emotion is heard in the voice: do not name it in the words. Vary the emotions of history and responses."""


class ChatConfig(Config):
    """Which server and model to ask."""

    url: str = "http://127.0.0.1:8001/v1"
    """Base of an OpenAI-compatible interface, such as that of vLLM."""
    model: str = ""
    """Model, as the server calls it."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is never written anywhere. May be unset for a server without keys."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    """Sampling temperature."""
    timeout_s: float = Field(default=60, gt=0)
    """How long to wait for one answer."""


class GenerateConfig(Config):
    """How to ask."""

    concurrency: int = Field(default=8, ge=1)
    """Questions under way at once."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """No more questions than this are asked in a minute."""
    attempts: int = Field(default=4, ge=1)
    """How often one scenario is asked for, by answers that are not in order and by failures of the server together."""
    backoff_s: float = Field(default=1.0, ge=0)
    """Wait after the first failure of the server; doubled with each further one."""


class Busy(Exception):
    """The model cannot answer now. `retry_after_s` is what the server asked to wait for, None when it did not say."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Wish:
    """One scenario to ask for."""

    text: str
    """What the user says."""
    emotion: str
    """How it is said in the first variant, canonical."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A wish that was given up."""

    wish: Wish
    reason: str
    """As in `BadLine`; `unlike` is another sentence or emotion than was asked for, `server` a server that did not answer."""
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of all wishes."""

    scenarios: list[Scenario]
    """In the order of the wishes, numbered anew."""
    refused: list[Refusal]
    report: dict[str, Any]
    """`wished`, `accepted`, `reused` (of an earlier run), `repeated` (left out as the same as another), `asked` (questions of this run),
    `refused` (by reason), `unusable` (answers asked for again, by reason), and `balance`."""


def open_chat(config: ChatConfig) -> Chat:
    """A function that asks an OpenAI-compatible server.

    Raises RapportError for an unnamed model, and, when called, for an answer that asking again will not mend, such as a refused key.
    """
    import httpx

    if not config.model:
        raise RapportError("chat.model is empty: give the model's name as the server calls it")
    key = os.environ.get(config.key_variable)
    client = httpx.Client(base_url=config.url, timeout=config.timeout_s, headers={"Authorization": f"Bearer {key}"} if key else {})

    def chat(messages: Messages) -> str:
        body = {
            "model": config.model,
            "messages": [dict(m) for m in messages],
            "temperature": config.temperature,
            "response_format": {"type": "json_object"},
        }
        try:
            response = client.post("chat/completions", json=body)
        except httpx.TransportError as error:
            raise Busy(f"{config.url}: {type(error).__name__}") from error
        if response.status_code in _RETRIED:
            raise Busy(f"{config.url} answered {response.status_code}", _seconds(response.headers.get("retry-after")))
        if response.is_error:
            hint = f"; set {config.key_variable} to a key that is accepted" if response.status_code in (401, 403) else ""
            raise RapportError(f"{config.url} answered {response.status_code} for model {config.model}: {response.text[:300]}{hint}")
        try:
            return str(response.json()["choices"][0]["message"]["content"])
        except (ValueError, LookupError, TypeError):
            raise Busy(f"{config.url} answered something that is no chat completion") from None

    return chat


def messages_for(wish: Wish) -> list[dict[str, str]]:
    """The question that is asked for a wish."""
    return [
        {"role": "system", "content": _INSTRUCTION},
        {"role": "user", "content": f"Sentence: {wish.text}\nEmotion of current_turn1: <{_TAG_OF[wish.emotion]}>"},
    ]


def generate(
    wishes: Iterable[Wish],
    chat: Chat,
    folder: str | Path,
    config: GenerateConfig | None = None,
    *,
    advance: Callable[[int], None] = lambda count: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Ask for every wish that a local folder does not hold yet, and keep each accepted scenario at once.

    `advance` is told of every finished wish. An error that asking again will not mend ends it; what was accepted stays.
    """
    config = config or GenerateConfig()
    wished = list(dict.fromkeys(wishes))
    journal = Path(folder) / ACCEPTED
    accepted = _read_journal(journal)
    asker = _Asker(chat, config, sleep)
    missing = [w for w in wished if w not in accepted]
    advance(len(wished) - len(missing))
    refused: list[Refusal] = []
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.exists() and not journal.read_bytes().endswith(b"\n"):  # cut off when the job was killed
        with journal.open("a", encoding="utf-8") as file:
            file.write("\n")
    with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(config.concurrency) as pool:
        futures = {pool.submit(asker.fulfil, wish): wish for wish in missing}
        try:
            for future in as_completed(futures):
                outcome = future.result()
                if isinstance(outcome, Refusal):
                    refused.append(outcome)
                else:
                    accepted[futures[future]] = outcome
                    file.write(json.dumps({"wish": asdict(futures[future]), "scenario": outcome}, ensure_ascii=False) + "\n")
                    file.flush()
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _outcome(wished, missing, accepted, refused, asker)


class _Asker:
    """Asks until an answer is in order or the attempts are used up; counts what it sees. Safe to use from several threads."""

    def __init__(self, chat: Chat, config: GenerateConfig, sleep: Callable[[float], None]) -> None:
        self._chat, self._config, self._sleep = chat, config, sleep
        self._lock = threading.Lock()
        self._next_s = 0.0
        self.asked = 0
        self.unusable: Counter[str] = Counter()

    def fulfil(self, wish: Wish) -> dict[str, Any] | Refusal:
        """The record of an accepted scenario, or why there is none."""
        messages: list[Mapping[str, str]] = list(messages_for(wish))
        reason, message, failures = "server", "", 0
        for _ in range(self._config.attempts):
            self._wait_for_turn()
            try:
                answer = self._chat(messages)
                return to_record(_accept(wish, answer))
            except Busy as busy:
                reason, message, failures = "server", str(busy), failures + 1
                pause_s = self._config.backoff_s * 2 ** (failures - 1) * random.uniform(1, 1.5)
                self._sleep(pause_s if busy.retry_after_s is None else max(busy.retry_after_s, pause_s))
            except Unusable as problem:
                reason, message = problem.reason, str(problem)
                with self._lock:
                    self.unusable[reason] += 1
                # The answer and its fault are told, so that the next one can be better.
                told = {"role": "user", "content": f"That cannot be used: {problem}. Answer again with the whole JSON object."}
                messages = [*messages_for(wish), {"role": "assistant", "content": answer}, told]
        return Refusal(wish, reason, message)

    def _wait_for_turn(self) -> None:
        with self._lock:
            self.asked += 1
            if self._config.requests_per_minute is None:
                return
            now_s = time.monotonic()
            start_s = max(now_s, self._next_s)
            self._next_s = start_s + 60 / self._config.requests_per_minute
        self._sleep(start_s - now_s)


def _accept(wish: Wish, answer: str) -> Scenario:
    """The scenario in an answer, which may stand in a fence of Markdown.

    Raises Unusable.
    """
    start, end = answer.find("{"), answer.rfind("}")
    try:
        record = json.loads(answer[start : end + 1])
    except json.JSONDecodeError as error:
        raise Unusable("json", f"no JSON ({error.msg})") from None
    scenario = parse_record(0, record)
    first = scenario.current[0]
    if sentence_key(first.text) != sentence_key(wish.text) or first.emotion != wish.emotion:
        raise Unusable("unlike", f"current_turn1 wants <{_TAG_OF[wish.emotion]}> {wish.text}")
    return scenario


def _outcome(
    wished: Sequence[Wish], missing: Sequence[Wish], accepted: Mapping[Wish, Mapping[str, Any]], refused: list[Refusal], asker: _Asker
) -> Outcome:
    there = [accepted[wish] for wish in wished if wish in accepted]
    different = {json.dumps(record, sort_keys=True): record for record in there}
    scenarios = [parse_record(number, record) for number, record in enumerate(different.values())]
    report = {
        "wished": len(wished),
        "accepted": len(scenarios),
        "reused": len(wished) - len(missing),
        "repeated": len(there) - len(different),
        "asked": asker.asked,
        "refused": dict(sorted(Counter(r.reason for r in refused).items())),
        "unusable": dict(sorted(asker.unusable.items())),
        "balance": balance(scenarios),
    }
    order = {wish: number for number, wish in enumerate(wished)}
    return Outcome(scenarios, sorted(refused, key=lambda r: order[r.wish]), report)


def _read_journal(path: Path) -> dict[Wish, Mapping[str, Any]]:
    """Accepted records by wish; a last line that was cut off when the job was killed is asked for again."""
    found: dict[Wish, Mapping[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
        try:
            entry = json.loads(line)
            found[Wish(**entry["wish"])] = to_record(parse_record(0, entry["scenario"]))
        except (json.JSONDecodeError, Unusable, TypeError, KeyError):
            continue
    return found


def _seconds(header: str | None) -> float | None:
    """The seconds of a Retry-After header; None for a date or nothing."""
    try:
        return float(header) if header is not None else None
    except ValueError:
        return None
