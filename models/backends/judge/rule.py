"""The judge without a model: it hands over an item that was named in an accepted way, and moves on by rules that suit every task.

| heard | handed over | move |
|---|---|---|
| exactly one offered item, in an accepted sentence | that item | the only way on, else the one that shares most words with the item |
| the name of a scene that may follow | nothing | there |
| nothing | nothing | none |
| anything else | nothing | `otherwise`: none (`stay`), or the only way on, if there is one (`leave`) |
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, get_args

from rapport.core.errors import RapportError
from rapport.core.storage import content_key
from rapport.simulator.requests import JudgeRequest, Result

Strictness = Literal["mention", "pattern", "name"]
Otherwise = Literal["stay", "leave"]

PATTERNS = ("{name}", "i want {name}", "i would like to have {name}", "i'll take {name}", "give me {name}")
"""What is accepted for an item of which nothing else is told: the patterns of the published tasks."""


def load(
    strictness: str = "pattern", *, utterances: Mapping[str, Sequence[str]] | None = None, otherwise: Otherwise = "leave"
) -> "RuleJudge":
    """A judge that accepts an item's name alone (`name`), in one of its utterances (`pattern`), or anywhere (`mention`).

    `utterances` are the accepted sentences of each item, by its name. Raises RapportError for another strictness.
    """
    if strictness not in get_args(Strictness):
        raise RapportError(f"judge rule:{strictness}: the strictness is one of {', '.join(get_args(Strictness))}")
    return RuleJudge(strictness, utterances or {}, otherwise)  # type: ignore[arg-type]  # checked above


class RuleJudge:
    """A `rapport.simulator.requests.Service` for judge requests. It does not read the prompt."""

    deterministic = True
    unread = ("prompt", "seed")

    def __init__(self, strictness: Strictness, utterances: Mapping[str, Sequence[str]], otherwise: Otherwise) -> None:
        self._strictness, self._otherwise = strictness, otherwise
        self._utterances = {name: frozenset(map(plain, sentences)) for name, sentences in utterances.items()}
        accepted = {name: sorted(sentences) for name, sentences in self._utterances.items()}
        self.version = f"rule 1 {strictness} {otherwise} {content_key(accepted)}"

    def batch(self, requests: Sequence[JudgeRequest]) -> list[Result]:
        """A reply in JSON for each request."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: JudgeRequest) -> str:
        heard = plain(request.heard)
        moves = {identity: plain(name) for identity, name in request.moves}
        item = self._named(heard, request.offered)
        if item is not None:
            return _json(f"Sure, here is your {plain(item)}.", _way_of(plain(item), moves), "the item was handed over", item)
        if not heard:
            wares = " or ".join(map(plain, request.offered))
            return _json(f"Hello! Would you like {wares}?" if wares else "Thank you, goodbye.", None, None, None)
        there = [identity for identity, name in moves.items() if name == heard]
        if there:
            return _json("This way, please.", there[0], "the guest asked for it", None)
        leave = self._otherwise == "leave" and len(moves) == 1
        return _json(
            "Sorry, I did not get that.", next(iter(moves)) if leave else None, "the request was not clear" if leave else None, None
        )

    def _named(self, heard: str, offered: Sequence[str]) -> str | None:
        """The one offered item that the words name."""
        found = self._mentioned(heard, offered) if self._strictness == "mention" else [n for n in offered if self._accepts(heard, n)]
        return found[0] if len(found) == 1 else None

    def _accepts(self, heard: str, name: str) -> bool:
        if self._strictness == "name":
            return heard == plain(name)
        return heard in self._utterances.get(name, _published(name))

    def _mentioned(self, heard: str, offered: Sequence[str]) -> list[str]:
        """Offered items whose names occur; a name inside another's, as in `sweet potato`, does not count."""
        known = {*offered, *self._utterances}
        spans = [(match.span(), name) for name in known for match in re.finditer(rf"(?<!\S){re.escape(plain(name))}(?!\S)", heard)]
        outer = {name for (begin, end), name in spans if not any(b <= begin and end <= e and e - b > end - begin for (b, e), _ in spans)}
        return [name for name in offered if name in outer] if outer <= set(offered) else []


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The words alone: lower case, underscores are spaces, apostrophes kept, no other punctuation."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'")))


@lru_cache(maxsize=4096)
def _published(name: str) -> frozenset[str]:
    return frozenset(plain(pattern.format(name=name)) for pattern in PATTERNS)


def _way_of(item: str, moves: Mapping[int, str]) -> int | None:
    """Where it goes on after an item: a corner of Japanese food leads to the Japanese menu."""
    if len(moves) == 1:
        return next(iter(moves))
    shared = {identity: len(set(item.split()) & set(name.split())) for identity, name in moves.items()}
    most = max(shared.values(), default=0)
    best = [identity for identity, count in shared.items() if count == most]
    return best[0] if most > 0 and len(best) == 1 else None


def _json(text: str, scene: int | None, reason: str | None, item: str | None) -> str:
    reason = reason if scene is not None else None
    return json.dumps({"response_text": text, "next_scene_id": scene, "next_scene_reason": reason, "item_name": item})
