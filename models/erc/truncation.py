"""Prompts that fit: what is least needed goes first, and what is asked always stays.

Lines of history go, the oldest first; then the scene; then the ends of the personas. The line asked about, the question, the answers to
choose from and the answer are never cut.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

from rapport.core.errors import RapportError
from rapport.models.erc.prompt import Prompt

TokenCounter = Callable[[str], int]
"""Number of tokens of a text, without marks of beginning and end."""
MARKS = 2
"""Tokens of a sequence that are no text: its beginning and its end."""


def fit(prompt: Prompt, count: TokenCounter, room: int, name: str = "") -> tuple[Prompt, dict[str, int]]:
    """The prompt with as little cut as makes its text fit into `room` tokens, and what was cut.

    `history_turns`, `scene` and `persona_words` tell how many lines, scenes and words went; empty when nothing did. Raises RapportError
    that calls the example by `name` when what must stay does not fit.
    """
    if count(prompt.text()) <= room:
        return prompt, {}
    steps = _Steps(prompt)
    # A few counts in place of one a step: each step is shorter than the one before.
    step = bisect_left(range(len(steps)), True, key=lambda i: count(steps.at(i).text()) <= room)
    if step == len(steps):
        least = count(steps.at(len(steps) - 1).text())
        raise RapportError(
            f"{name or 'a prompt'}: line, question and answers to choose from alone take {least} tokens and there is room for {room}; "
            "raise max_tokens, lower answer_tokens or shorten the line"
        )
    return steps.at(step), steps.cut(step)


class _Steps:
    """The ever shorter forms of a prompt: step 0 is the whole."""

    def __init__(self, prompt: Prompt) -> None:
        self._whole = prompt
        self._turns = len(prompt.history)
        self._scenes = int(bool(prompt.scene))
        # With the history gone: those who spoke only there are no longer described.
        self._words = max((len(text.split()) for _, text in replace(prompt, history=()).shown_personas()), default=0)

    def __len__(self) -> int:
        return 1 + self._turns + self._scenes + self._words

    def at(self, step: int) -> Prompt:
        turns = min(step, self._turns)
        scenes = min(step - turns, self._scenes)
        shorter = replace(self._whole, history=self._whole.history[turns:], scene="" if scenes else self._whole.scene)
        words = step - turns - scenes
        return replace(shorter, persona_words=self._words - words) if words else shorter

    def cut(self, step: int) -> dict[str, int]:
        left = self.at(step)
        lost = {
            "history_turns": self._turns - len(left.history),
            "scene": self._scenes - int(bool(left.scene)),
            "persona_words": _words(self._whole) - _words(left),
        }
        return {what: number for what, number in lost.items() if number}


def _words(prompt: Prompt) -> int:
    return sum(len(text.split()) for _, text in prompt.shown_personas())
