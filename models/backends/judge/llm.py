"""A judge that is a causal language model, by hub id, folder or URI. What it may write is constrained token by token (llguidance).

    system: the rendered prompt file       user: the transcript       ->  {"response_text": ..., "item_name": "apple"}

A reply is a function of the model, the settings and its own request, not of what is in its batch. Axes: A rows still being written,
B batch, H width, N tokens, V vocabulary.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import llguidance
import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import Cache

from rapport.core.errors import RapportError
from rapport.core.storage import content_key
from rapport.models.backends.judge._schema import reply_schema
from rapport.models.backends.judges import LlmJudgeConfig
from rapport.models.backends.llm.base import load_base, reference_of
from rapport.models.backends.llm.batches import packed
from rapport.models.backends.llm.decoding import hidden_states, write_tokens
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.backends.llm.past import new_past
from rapport.models.backends.llm.sampling import Sampler
from rapport.simulator.requests import JudgeRequest, Result

PUBLISHED = "microsoft/Phi-4-mini-instruct"
_WHERE_ONLY = {"batch_tokens", "batch_rows", "device"}
"""Settings that change no reply."""


def load(source: str = PUBLISHED, *, config: LlmJudgeConfig | None = None) -> "LlmJudge":
    """A judge with the weights of a hub id, folder or URI. Raises RapportError when they cannot be loaded."""
    return LlmJudge(source, config or LlmJudgeConfig())


class LlmJudge:
    """A `rapport.simulator.requests.Service` for judge requests."""

    deterministic = True

    def __init__(self, source: str, config: LlmJudgeConfig) -> None:
        self._config = config
        self.unread = () if config.temperature else ("seed",)
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device)
        half = config.dtype == "bfloat16" or (config.dtype == "auto" and self._device.type == "cuda")
        tokenizer, base = load_base(source, config.revision, torch.bfloat16 if half else torch.float32)
        if tokenizer.eos_token_id is None:
            raise RapportError(f"the tokenizer of {source!r} has no token that ends a reply: wanted one with eos_token")
        self._pad = ensure_pad(tokenizer)
        self._tokenizer = tokenizer
        self._base: Any = base.eval().to(self._device)
        self._size = min(len(tokenizer), base.get_output_embeddings().weight.shape[0])
        self._ends = _ends(tokenizer, base)
        self._sampler = Sampler(config)
        self._grammar = _Grammar(tokenizer, self._size, config.longest_text) if config.constrained else None
        reference = reference_of(source, config.revision)
        settings = {**config.model_dump(mode="json", exclude=_WHERE_ONLY), "half": half}
        self.version = f"llm 1 {content_key({'weights': reference.weights, 'vocabulary': reference.vocabulary, **settings})}"

    def batch(self, requests: Sequence[JudgeRequest]) -> list[Result]:
        """A reply for each request. Raises RapportError for a prompt that leaves no room for a reply."""
        prompts = [self._tokens(request) for request in requests]
        longest = max((len(ids) for ids in prompts), default=0)
        room = self._config.context_tokens - self._config.max_new_tokens
        if longest > room:
            raise RapportError(
                f"a prompt for the judge has {longest} tokens, and beside {self._config.max_new_tokens} of the reply there is room for "
                f"{room}: raise llm.context_tokens, or shorten the prompt file or the scene's system_guidelines"
            )
        replies: dict[int, str] = {}
        for rows in packed(
            [len(ids) for ids in prompts],
            extra=[self._config.max_new_tokens] * len(prompts),
            batch_tokens=self._config.batch_tokens,
            batch_rows=self._config.batch_rows,
        ):
            written = self._write([prompts[row] for row in rows], [requests[row] for row in rows])
            replies.update(zip(rows, written, strict=True))
        return [replies[row] for row in range(len(requests))]

    @torch.inference_mode()
    def _write(self, prompts: Sequence[list[int]], requests: Sequence[JudgeRequest]) -> list[str]:
        width = max(len(ids) for ids in prompts)
        ids = torch.tensor([[self._pad] * (width - len(p)) + p for p in prompts], device=self._device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self._device)
        cache = new_past(self._base.config)
        chance = self._sampler.chances([str(request.seed) for request in requests], self._config.max_new_tokens).to(self._device)
        writing = None if self._grammar is None else [self._grammar.begin(request) for request in requests]

        def read(tokens: Tensor, seen: Tensor, past: Cache) -> Tensor:
            return hidden_states(self._base, seen, past, input_ids=tokens)

        def choose(logits: Tensor, rows: list[int], step: int) -> Tensor:
            if writing is None:
                return self._sampler.pick(logits, chance[rows, step])
            going = [writing[row] for row in rows]
            tokens = self._sampler.pick(logits.masked_fill(~self._allowed(going), -torch.inf), chance[rows, step])
            for matcher, token in zip(going, tokens.tolist(), strict=True):
                if not matcher.consume_token(token):
                    raise RuntimeError(f"the grammar refused a token that it had allowed: {matcher.get_error()}")
            return tokens

        found: list[list[int]] = [[] for _ in prompts]
        for step in write_tokens(
            read,
            lambda states: self._base.get_output_embeddings()(states)[:, : self._size].float(),
            choose,
            hidden=read(ids, mask, cache)[:, -1],
            mask=mask,
            cache=cache,
            limit=self._config.max_new_tokens,
            ends=self._ends,
            gone=None if writing is None else lambda row: writing[row].is_stopped(),
        ):
            for row, token in zip(step.rows, step.tokens, strict=True):
                found[row].append(token)
        return [self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip() for ids in found]

    def _allowed(self, matchers: Sequence["llguidance.LLMatcher"]) -> Tensor:
        """bool [A, V] which tokens may come next."""
        bits = llguidance.numpy.allocate_token_bitmask(len(matchers), self._size)
        for row, matcher in enumerate(matchers):
            llguidance.numpy.fill_next_token_bitmask(matcher, bits, row)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, count=self._size, bitorder="little")
        return torch.from_numpy(allowed.astype(bool)).to(self._device)

    def _tokens(self, request: JudgeRequest) -> list[int]:
        """The ids of prompt and transcript, in the form that the model was tuned to, if it was to any."""
        if not self._tokenizer.chat_template:
            text = f"{request.prompt}\n\nCustomer: {request.heard}\nReply: "
            return list(self._tokenizer(text)["input_ids"])
        system, user = {"role": "system", "content": request.prompt}, {"role": "user", "content": request.heard}
        try:
            text = self._tokenizer.apply_chat_template([system, user], tokenize=False, add_generation_prompt=True)
        except TemplateError:  # some templates have no place for a system's message
            user = {"role": "user", "content": f"{request.prompt}\n\n{request.heard}"}
            text = self._tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


class _Grammar:
    """Makes matchers of replies; what may be said is compiled once for each offer."""

    def __init__(self, tokenizer: Any, size: int, longest_text: int) -> None:
        try:
            self._tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=size)
        except ValueError as error:
            raise RapportError(
                f"replies of a {type(tokenizer).__name__} cannot be constrained ({error}): take a model with a fast tokenizer "
                "(tokenizer.json), or set llm.constrained to false"
            ) from error
        self._longest_text = longest_text
        self._compiled = lru_cache(maxsize=1024)(self._compile)

    def begin(self, request: JudgeRequest) -> "llguidance.LLMatcher":
        """A matcher before the first token of a reply to the request."""
        return self._compiled(json.dumps(reply_schema(request, self._longest_text))).deep_copy()

    def _compile(self, schema: str) -> "llguidance.LLMatcher":
        # Without room for spaces a model cannot fill its reply with them.
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
        matcher = llguidance.LLMatcher(self._tokens, grammar)
        if matcher.is_error():
            raise RuntimeError(f"the grammar of a reply cannot be compiled: {matcher.get_error()}\n{schema[:500]}")
        return matcher


def _ends(tokenizer: Any, base: Any) -> frozenset[int]:
    """Tokens that end a reply: the tokenizer's, and those that the model names for itself."""
    named = base.generation_config.eos_token_id if base.generation_config is not None else None
    more = named if isinstance(named, list) else [] if named is None else [named]
    return frozenset({int(tokenizer.eos_token_id), *map(int, more)})
