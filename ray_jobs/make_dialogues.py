"""Make dialogues on the sentences of a prepared corpus: each sentence in two emotions with a fitting reply, in the form of EmoSC.

    python -m rapport.ray_jobs.make_dialogues --corpora esd
    OPENAI_API_KEY=... python -m rapport.ray_jobs.make_dialogues --maker chat --chat.url https://api.openai.com/v1 --chat.model MODEL
    ray job submit --working-dir . -- python -m rapport.ray_jobs.make_dialogues --maker chat --chat.url http://VLLM:8000/v1 --chat.model M

The embedded maker knows the sentences of made corpora alone; a language model takes any. Its answers are checked, and asked for again with
their fault; killed and run again, the job asks for what is missing. The result lies in <storage>/dialogues/<name>/<key>/: the dialogues,
report.json with what was refused and how even they are, and refused.jsonl.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rapport.core import storage
from rapport.core.config import JobConfig, Names
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.datasets.dialogues.emosc import EMOTION_OF, FILE, balance, to_jsonl
from rapport.datasets.dialogues.generate import ACCEPTED, ChatConfig, GenerateConfig, Wish, generate, messages_for, open_chat
from rapport.ray_jobs.runtime import job

REPORT, REFUSED = "report.json", "refused.jsonl"


class MakeDialoguesConfig(JobConfig):
    """What to make dialogues on, and who makes them."""

    corpora: Names = ("esd",)
    """Prepared corpora whose sentences and emotions are taken: names, or folders and URIs, separated by commas."""
    maker: Literal["embedded", "chat"] = "embedded"
    """embedded needs nothing and knows the sentences of made corpora; chat asks a language model."""
    name: str = "emosc"
    """Name of the dialogues below the storage root."""
    chat: ChatConfig = ChatConfig()
    """Which language model to ask."""
    generate: GenerateConfig = GenerateConfig()
    """How to ask it."""
    max_refused_fraction: float = Field(default=0.05, ge=0, le=1)
    """Share of scenarios that may come to nothing; beyond it the job fails, with everything good kept."""


def run(config: MakeDialoguesConfig) -> dict[str, Any]:
    """The folder and file of the dialogues, how many there are, and what was refused."""
    began_s = time.monotonic()
    spoken = _spoken(config)
    key = storage.content_key({"maker": config.maker, "seed": config.seed, "spoken": spoken, **_identity(config)})
    folder = storage.join(config.storage, "dialogues", config.name, key)
    folder = folder if "://" in folder else storage.resolve(folder)[1]
    if not storage.is_complete(folder):
        (_ask if config.maker == "chat" else _make)(config, spoken, folder)
    report = storage.read_json(storage.join(folder, REPORT))
    counts = {name: report[name] for name in ("accepted", "refused", "asked") if name in report}
    return {
        "folder": folder,
        "dialogues": storage.join(folder, FILE),
        "scenarios": report["balance"]["scenarios"],
        "sentences": report["balance"]["sentences"],
        **counts,
        "seconds": round(time.monotonic() - began_s, 2),
    }


def _identity(config: MakeDialoguesConfig) -> dict[str, Any]:
    """What makes a language model's answers what they are."""
    if config.maker == "embedded":
        return {}
    instruction = messages_for(Wish("", "neutral"))[0]["content"]
    return {"model": config.chat.model, "temperature": config.chat.temperature, "instruction": instruction}


def _spoken(config: MakeDialoguesConfig) -> dict[str, list[str]]:
    """Sentences in order of the alphabet, without repetition, to the emotions in which there are recordings."""
    from rapport.datasets.dialogues.emosc import sentence_key
    from rapport.datasets.prepared import locate_prepared, open_prepared

    texts: dict[str, str] = {}
    emotions: dict[str, set[str]] = defaultdict(set)
    for corpus in config.corpora:
        for row in open_prepared(locate_prepared(config.storage, corpus)).rows:
            if row.text and row.emotion in EMOTION_OF.values():
                key = sentence_key(row.text)
                emotions[texts.setdefault(key, row.text)].add(str(row.emotion))
    if not emotions:
        raise RapportError(
            f"no row of {', '.join(config.corpora)} has a text and one of the emotions {', '.join(EMOTION_OF.values())}: "
            "name prepared corpora of emotional sentences with --corpora"
        )
    return {text: sorted(emotions[text]) for text in sorted(emotions)}


def _make(config: MakeDialoguesConfig, spoken: Mapping[str, Sequence[str]], folder: str) -> None:
    from rapport.datasets.synthetic.dialogues import make_dialogues

    scenarios = make_dialogues({text.rstrip(".!?"): emotions for text, emotions in spoken.items()}, config.seed)
    _write(folder, to_jsonl(scenarios), {"balance": balance(scenarios)}, [], config)


def _ask(config: MakeDialoguesConfig, spoken: Mapping[str, Sequence[str]], folder: str) -> None:
    wishes = [Wish(text, emotion) for text, emotions in spoken.items() for emotion in emotions]
    work = folder
    if not storage.is_local(folder):
        cache = os.environ.get("RAPPORT_CACHE", "~/.cache/rapport")
        work = str(Path(cache).expanduser() / "dialogues" / folder.rsplit("/", 1)[-1])
    with progress("asking for dialogues", len(wishes)) as advance:
        outcome = generate(wishes, open_chat(config.chat), work, config.generate, advance=advance)
    lines = [{"text": r.wish.text, "emotion": r.wish.emotion, "reason": r.reason, "message": r.message} for r in outcome.refused]
    share = len(lines) / len(wishes)
    if share > config.max_refused_fraction:
        reasons = ", ".join(f"{count} {reason}" for reason, count in outcome.report["refused"].items())
        raise RapportError(
            f"{len(lines)} of {len(wishes)} scenarios came to nothing ({reasons}; the first: {lines[0]['message']}), more than "
            f"max_refused_fraction {config.max_refused_fraction:g} allows. Run the job again to ask for these alone: "
            f"the others are kept in {work}/{ACCEPTED}"
        )
    _write(folder, to_jsonl(outcome.scenarios), outcome.report, lines, config)


def _write(
    folder: str, dialogues: str, report: Mapping[str, Any], refused: Sequence[Mapping[str, str]], config: MakeDialoguesConfig
) -> None:
    storage.write_bytes(storage.join(folder, FILE), dialogues.encode())
    storage.write_json(storage.join(folder, REPORT), dict(report))
    storage.write_bytes(storage.join(folder, REFUSED), "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in refused).encode())
    storage.finish(folder, {"kind": "dialogues", "config": config.model_dump(mode="json")})


if __name__ == "__main__":
    job(MakeDialoguesConfig, run)
