"""A language model is asked until its answers are in order; what it accepted is never asked for again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.dialogues.generate import ACCEPTED, Busy, ChatConfig, GenerateConfig, Wish, generate, messages_for, open_chat

WISHES = [Wish(f"Sentence number {n}.", emotion) for n in range(4) for emotion in ("angry", "happy")]
ONE = GenerateConfig(concurrency=1, backoff_s=2)


def answer_to(messages, **changes):
    """What a well-behaved model says."""
    text = messages[1]["content"].split("Sentence: ")[1].split("\n")[0]
    tag = messages[1]["content"].rsplit("<", 1)[1].removesuffix(">")
    record = {
        "history_turns": ["B: <neutral> Yes?", "A: <neutral> Well.", "B: <happiness> Tell me."],
        "current_turn1": f"A: <{tag}> {text}",
        "current_turn2": f"A: <sadness> {text}",
        "response_turn1": f"B: <neutral> I see, {tag}.",
        "response_turn2": "B: <sadness> I am sorry.",
    }
    return json.dumps(record | changes)


def test_every_wish_becomes_a_scenario_in_the_order_asked_for_however_many_are_under_way(tmp_path):
    outcome = generate(WISHES, answer_to, tmp_path, GenerateConfig(concurrency=4))
    assert [(s.id, s.current[0].text, s.current[0].emotion) for s in outcome.scenarios] == [
        (n, w.text, w.emotion) for n, w in enumerate(WISHES)
    ]
    assert outcome.report["accepted"] == outcome.report["asked"] == 8
    assert not outcome.refused


def test_an_answer_that_is_not_in_order_is_asked_for_again_with_its_fault(tmp_path):
    seen = []

    def chat(messages):
        seen.append(messages)
        replies = ["Sorry, no.", answer_to(messages, response_turn1="B: <joy> Yay."), f"```json\n{answer_to(messages)}\n```"]
        return replies[len(seen) - 1]

    outcome = generate(WISHES[:1], chat, tmp_path, ONE)
    assert len(outcome.scenarios) == 1
    assert outcome.report["unusable"] == {"json": 1, "tag": 1}
    assert "the tag <joy>" in seen[2][-1]["content"]
    assert [m["role"] for m in seen[2]] == ["system", "user", "assistant", "user"]


def test_another_sentence_or_emotion_than_asked_for_is_refused_with_its_reason(tmp_path):
    def chat(messages):
        return answer_to(messages, current_turn1="A: <neutral> Something else.", current_turn2="A: <anger> Something else.")

    outcome = generate(WISHES[:1], chat, tmp_path, GenerateConfig(attempts=2))
    (refusal,) = outcome.refused
    assert (refusal.wish, refusal.reason) == (WISHES[0], "unlike")
    assert "<anger> Sentence number 0." in refusal.message
    assert outcome.report["asked"] == 2


def test_a_busy_server_is_asked_again_after_longer_and_longer_waits(tmp_path):
    waits: list[float] = []
    failures = iter([Busy("503"), Busy("429", retry_after_s=30), Busy("503")])

    def chat(messages):
        if failure := next(failures, None):
            raise failure
        return answer_to(messages)

    outcome = generate(WISHES[:1], chat, tmp_path, ONE, sleep=waits.append)
    assert len(outcome.scenarios) == 1
    assert 2 <= waits[0] <= 3
    assert waits[1] == 30
    assert 8 <= waits[2] <= 12


def test_questions_keep_the_pace(tmp_path):
    waits: list[float] = []
    generate(WISHES[:3], answer_to, tmp_path, GenerateConfig(concurrency=1, requests_per_minute=6), sleep=waits.append)
    assert waits[0] == 0
    assert waits[1] == pytest.approx(10, abs=1)
    assert waits[2] == pytest.approx(20, abs=1)


def test_a_run_that_was_killed_asks_only_for_what_is_missing(tmp_path):
    asked: list[object] = []

    def dies(messages):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(messages)
        return answer_to(messages)

    with pytest.raises(KeyboardInterrupt):
        generate(WISHES, dies, tmp_path, ONE)
    journal = tmp_path / ACCEPTED
    journal.write_text(journal.read_text()[:-40])
    told: list[int] = []
    outcome = generate(WISHES, answer_to, tmp_path, ONE, advance=told.append)
    assert outcome.report["reused"] == 2
    assert outcome.report["asked"] == 6
    assert sum(told) == 8
    assert generate(WISHES, answer_to, tmp_path, ONE).report["asked"] == 0


def test_repeated_wishes_are_asked_for_once_and_equal_scenarios_kept_once(tmp_path):
    outcome = generate(
        [*WISHES[:1], *WISHES[:1], Wish("Sentence, number 0", "angry")], lambda m: answer_to(messages_for(WISHES[0])), tmp_path
    )
    assert outcome.report["wished"] == 2
    assert outcome.report["repeated"] == 1
    assert len(outcome.scenarios) == 1


class Server(ThreadingHTTPServer):
    """As much of an OpenAI-compatible server as is asked of it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None, dict]] = []
        self.replies: list[tuple[int, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        status, answer = self.server.replies.pop(0) if self.server.replies else (200, None)
        content = answer if answer is not None else answer_to(body["messages"])
        data = json.dumps({"choices": [{"message": {"content": content}}]}).encode() if status == 200 else content.encode()
        self.send_response(status)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def chat_of(server, **changes):
    return open_chat(ChatConfig(url=f"http://127.0.0.1:{server.server_port}/v1", model="tiny", **changes))


def test_the_server_gets_model_messages_and_the_key_of_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_CHAT_KEY", "secret")
    outcome = generate(WISHES[:2], chat_of(server, key_variable="TEST_CHAT_KEY"), tmp_path)
    assert len(outcome.scenarios) == 2
    path, authorization, body = server.seen[0]
    assert path == "/v1/chat/completions"
    assert authorization == "Bearer secret"
    assert body["model"] == "tiny"
    assert body["response_format"] == {"type": "json_object"}
    assert "secret" not in "".join(f.read_text() for f in tmp_path.iterdir())


def test_a_server_that_is_overloaded_or_odd_is_busy_and_one_that_refuses_is_an_error(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.replies = [(429, "slow down"), (401, "no key"), (500, ""), (400, "unknown model")]
    with pytest.raises(Busy, match="429") as busy:
        chat_of(server)(messages_for(WISHES[0]))
    assert busy.value.retry_after_s == 7
    with pytest.raises(RapportError, match=r"answered 401 .*; set OPENAI_API_KEY"):
        chat_of(server)(messages_for(WISHES[0]))
    with pytest.raises(Busy, match="500"):
        chat_of(server)(messages_for(WISHES[0]))
    with pytest.raises(RapportError, match="unknown model"):
        chat_of(server)(messages_for(WISHES[0]))
    assert server.seen[0][1] is None
    with pytest.raises(Busy, match="ConnectError"):
        open_chat(ChatConfig(url="http://127.0.0.1:9/v1", model="tiny"))(messages_for(WISHES[0]))
    with pytest.raises(RapportError, match=r"chat\.model is empty"):
        open_chat(ChatConfig())
