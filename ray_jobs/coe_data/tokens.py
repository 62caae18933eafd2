"""The tokenizer that counts while prompts are cut to length."""

import tempfile
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from rapport.core import storage
from rapport.core.conversations import Clues, Conversation, ErcExample
from rapport.datasets.conversations.clues import NONE
from rapport.models.backends.llm.base import load_tokenizer, quiet
from rapport.models.backends.llm.config import EMBEDDED
from rapport.models.backends.llm.embedded import train_tokenizer
from rapport.models.erc.build import Built
from rapport.models.erc.truncation import TokenCounter
from rapport.ray_jobs.coe_data.config import TokenizerConfig

_SHORT = 400
"""Characters of a text that may be an answer."""


def choose_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Any | None:
    """The tokenizer, trained on the texts where it is the embedded one; None where none is wanted.

    Raises RapportError when it is not there.
    """
    if config.source == NONE:
        return None
    if config.source == EMBEDDED:
        return train_tokenizer(texts, config.vocabulary)
    return load_tokenizer(config.source, config.revision)


def save_tokenizer(tokenizer: Any, folder: str) -> None:
    """Write it as Hugging Face keeps it, to a path or URI."""
    with tempfile.TemporaryDirectory() as local, quiet():
        tokenizer.save_pretrained(local)
        storage.put_folder(local, folder)


def counter(tokenizer: Any) -> TokenCounter:
    """The number of tokens of a text, without marks of beginning and end, and never too few.

    An answer may be written with a space before it or without, whichever the tokenizer joins better to a prompt (`ErcCollator`): the
    longer of the two counts. What looks like a special token in somebody's words is words.
    """

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])

    @lru_cache(maxsize=4096)
    def short(text: str) -> int:
        return max(length(text), length(f" {text}"))

    return lambda text: short(text) if len(text) <= _SHORT else length(text) + 1


def representative_texts(built: Built, clues: Clues, conversations: Iterable[Conversation]) -> list[str]:
    """What a tokenizer is trained on: every line, description and reason of the training side once, and one prompt a conversation and task.

    All prompts would hold each line dozens of times and take as much longer.
    """
    train = [c for c in conversations if c.split == "train"]
    texts = [f" {line.text}" for c in train for line in c.lines]
    texts += [f"{line.speaker}: " for c in train for line in c.lines]
    texts += [*clues.personas.values(), *(text for key, text in clues.scenes.items() if key.startswith("train/"))]
    for sides in built.examples.values():
        longest: dict[str, ErcExample] = {}
        for example in sides.get("train", ()):
            dialogue = example.example_id.rsplit("/", 2)[0]
            if dialogue not in longest or len(example.input) > len(longest[dialogue].input):
                longest[dialogue] = example
        texts += [f"{e.input} {e.target}" for e in longest.values()]
    return texts + [text for e in built.seeds for text in (e.input, e.target)]
