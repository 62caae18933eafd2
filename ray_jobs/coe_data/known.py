"""Knowledge as texts to be learned: facts by themselves, and what is read in a conversation below the prompt that shows it."""

from rapport.core.conversations import ErcExample
from rapport.models.erc.build import Built
from rapport.models.erc.prompt import ANSWER
from rapport.ray_jobs.coe_data.sources import Source

TASK = "erc"
"""Whose prompts show the conversations."""


def known_texts(source: Source, built: Built) -> list[ErcExample]:
    """Each text as an example: of a fact without a prompt, else below what a prompt of `erc` shows, which is only read.

    Those about a line that no prompt shows are left out.
    """
    corpus = source.found.corpus
    prompts = {e.example_id: e.input for e in built.examples.get(TASK, {}).get("train", ())}
    shown = {
        (c.dialogue_id, line.line_id): prompts.get(f"{corpus}/train/{c.dialogue_id}/{line.turn}/{TASK}")
        for c in source.found.of("train")
        for line in c.lines
    }
    texts = []
    for number, known in enumerate(source.knowledge):
        name, shown_before = f"{corpus}/train/knowledge/{number}/{TASK}", ""
        if known.dialogue_id is not None:
            prompt = shown.get((known.dialogue_id, known.line_id or ""))
            if prompt is None:
                continue
            shown_before = f"{prompt.removesuffix(ANSWER).rstrip()}\n"
        texts.append(ErcExample(name, TASK, shown_before, known.text, ""))
    return texts
