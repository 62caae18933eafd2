"""Prompts in batches of like length. Imports no torch."""

from collections.abc import Sequence


def packed(lengths: Sequence[int], *, extra: Sequence[int], batch_tokens: int, batch_rows: int) -> list[list[int]]:
    """Indices of prompts in batches, the longest prompts first, so that what does not fit into memory shows at once.

    `lengths` [N] are tokens of each prompt, `extra` [N] the tokens that may join each. A batch has at most `batch_rows` rows, and its
    rows times its longest prompt and extra are at most `batch_tokens`; a prompt that is longer than that is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i] - extra[i], i))
    batches: list[list[int]] = []
    for index in order:
        if batches:
            first = batches[-1][0]
            longest = lengths[first] + extra[first]
            if len(batches[-1]) < batch_rows and (len(batches[-1]) + 1) * longest <= batch_tokens:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches
