"""Answers, written token by token after the speech was read once.

    prompts -> embeddings with residuals -> one pass that fills the cache -> token, token, ... until EOS

The loop is that of `rapport.models.backends.llm.decoding`; here the scores of all emotions are kept where a tag is chosen. Greedy answers
equal those of `transformers.generate`, and those without a cache (both are tests). Axes: B batch, A rows still being written, E emotions,
V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.core.examples import Example
from rapport.core.units import SpeechUnits
from rapport.models.backends.llm.decoding import write_tokens
from rapport.models.backends.llm.past import new_past
from rapport.models.backends.llm.sampling import Sampler
from rapport.models.emosds.answer import Answer, Piece, parse_answer, tag_of
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.grammar import AnswerGrammar
from rapport.models.emosds.model import SpeechLanguageModel

_PARTIAL = "\ufffd"
"""What a decoder writes for bytes that are not yet a whole character."""


@dataclass(frozen=True)
class Generated:
    """One answer."""

    example_id: str
    ids: tuple[int, ...]
    """The tokens, without EOS."""
    text: str
    answer: Answer
    finished: bool
    """Whether it ended by itself, with EOS."""
    user_scores: dict[str, float] | None = None
    """Probability of each emotion where the user's was chosen, summing to 1; None in stage 1."""
    reply_scores: dict[str, float] | None = None
    """The same of the reply's emotion; None before stage 3, or when no reply was begun."""


class _Step(NamedTuple):
    rows: list[int]
    """[A] which rows of the batch."""
    tokens: list[int]
    """[A]"""
    tags: Tensor
    """[A, E] logits of the tags."""


class Generator:
    """Answers examples with one model. The same example gets the same answer in any batch."""

    def __init__(self, model: SpeechLanguageModel, config: GenerationConfig | None = None) -> None:
        self.model = model.eval()
        self.config = config or GenerationConfig()
        self._collator = model.collator()
        self._grammars: dict[int, AnswerGrammar] = {}
        self._sampler = Sampler(self.config)

    def with_config(self, config: GenerationConfig) -> "Generator":
        """One with other settings; what was worked out about the vocabulary is shared."""
        other = Generator(self.model, config)
        other._grammars = self._grammars
        return other

    def generate(self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None]) -> list[Generated]:
        """The answers, in order; examples of one batch are of one stage.

        A batch costs the time of its longest prompt and answer: put examples of like length together.
        """
        if not examples:
            return []
        answers = [_Writing() for _ in examples]
        for step in self._steps(examples, speech):
            for row, token, tags in zip(step.rows, step.tokens, step.tags, strict=True):
                answers[row].take(token, tags, self.model)
        return [self._finish(e, a) for e, a in zip(examples, answers, strict=True)]

    def stream(self, example: Example, speech: SpeechUnits | None) -> Iterator[Piece | Generated]:
        """Pieces of one answer as they are written, and the whole answer last; closing the iterator stops the work.

        Pieces follow the tokens as they come: of a malformed answer, the whole answer tells more.
        """
        for step in self.stream_batch([example], [speech]):
            yield from (item for _, item in step)

    def stream_batch(
        self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None], gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, Piece | Generated]]]:
        """The answers of a batch as they are written together: for each token, which rows have something new and what it is.

        The last of a row is its whole answer, at once when it has ended. A row of which `gone` says so leaves the batch without one.
        """
        rows = [(example, _Writing(), _Shown(self._collator.decode, self.model)) for example in examples]
        for step in self._steps(examples, speech, gone) if examples else ():
            found: list[tuple[int, Piece | Generated]] = []
            for row, token, tags in zip(step.rows, step.tokens, step.tags, strict=True):
                example, writing, shown = rows[row]
                writing.take(token, tags, self.model)
                found += [(row, piece) for piece in shown.take(token)]
                if writing.finished:
                    found.append((row, self._finish(example, writing)))
            yield found
        last: list[tuple[int, Piece | Generated]] = []
        for row, (example, writing, shown) in enumerate(rows):
            if not writing.finished and not (gone and gone(row)):
                last += [*((row, piece) for piece in shown.rest()), (row, self._finish(example, writing))]
        yield last

    @torch.inference_mode()
    def _steps(
        self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None], gone: Callable[[int], bool] | None = None
    ) -> Iterator[_Step]:
        """One token for every row that is still being written, again and again."""
        model, limit = self.model, self.config.max_new_tokens
        stage = _one_stage(examples)
        grammar = self._grammar(stage) if self.config.constrained else None
        batch = {k: v.to(model.device) for k, v in self._collator.prompts(examples, speech).items()}
        mask = batch.pop("attention_mask")
        cache = new_past(model.config)
        hidden = model.hidden(model.embed(**batch), mask, cache)[:, -1]
        states = grammar.start(len(examples)) if grammar else None
        chance = self._sampler.chances([e.example_id for e in examples], limit).to(model.device)
        tags = torch.tensor(model.manifest.tags, device=model.device)

        def choose(logits: Tensor, rows: list[int], step: int) -> Tensor:
            if grammar is None or states is None:
                return self._sampler.pick(logits, chance[rows, step])
            logits = grammar.restrict(logits, states[rows], limit - step, limit // 4)
            tokens = self._sampler.pick(logits, chance[rows, step])
            states[rows] = grammar.advance(states[rows], tokens)
            return tokens

        written = write_tokens(
            lambda tokens, mask, cache: model.hidden(model.base.get_input_embeddings()(tokens), mask, cache),
            lambda hidden: model.logits(hidden)[:, : model.manifest.size].float(),
            choose,
            hidden=hidden,
            mask=mask,
            cache=cache,
            limit=limit,
            ends=(model.manifest.eos,),
            gone=gone,
        )
        for step in written:
            yield _Step(step.rows, step.tokens, step.logits[:, tags].cpu())

    def _grammar(self, stage: int) -> AnswerGrammar:
        if stage not in self._grammars:
            self._grammars[stage] = AnswerGrammar(self.model.tokenizer, self.model.manifest, stage, self.model.device)
        return self._grammars[stage]

    def _finish(self, example: Example, writing: "_Writing") -> Generated:
        text = self._collator.decode(writing.ids)
        emotions = self.model.settings.emotions
        answer = parse_answer(text, example.stage, emotions)
        if not writing.finished:
            cut = f"no end within {self.config.max_new_tokens} tokens (max_new_tokens)"
            answer = replace(answer, malformed=answer.malformed or cut)
        scores = [dict(zip(emotions, tags.softmax(-1).tolist(), strict=True)) for tags in writing.tags]
        user = scores[0] if example.stage >= 2 else None
        reply = scores[1] if example.stage == 3 and len(scores) > 1 else None
        return Generated(example.example_id, tuple(writing.ids), text, answer, writing.finished, user, reply)


class _Writing:
    """An answer so far."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.finished = False
        self.tags: list[Tensor] = []

    def take(self, token: int, tags: Tensor, model: SpeechLanguageModel) -> None:
        """Add a token, whose place is one for a tag at the beginning and after the first label."""
        if not self.ids or (self.ids[-1] == model.manifest.system and len(self.tags) == 1):
            self.tags.append(tags)
        if token == model.manifest.eos:
            self.finished = True
        else:
            self.ids.append(token)


class _Shown:
    """Turns tokens into pieces."""

    def __init__(self, decode: Callable[[Sequence[int]], str], model: SpeechLanguageModel) -> None:
        self._decode = decode
        self._emotions = {model.manifest.tokens[tag_of(e)]: e for e in model.settings.emotions}
        self._label, self._eos = model.manifest.system, model.manifest.eos
        self._replying = False
        self._words: list[int] = []
        self._sent = 0

    def take(self, token: int) -> Iterator[Piece]:
        """The pieces that the token completes."""
        if token == self._eos or token == self._label:
            yield from self.rest()
            self._replying, self._words, self._sent = True, [], 0
        elif token in self._emotions:
            yield Piece("reply_emotion" if self._replying else "user_emotion", self._emotions[token])
        else:
            self._words.append(token)
            text = self._decode(self._words).lstrip()
            if not text.endswith(_PARTIAL):
                yield from self._new(text)

    def rest(self) -> Iterator[Piece]:
        """What was held back for a character that never became whole."""
        yield from self._new(self._decode(self._words).lstrip())

    def _new(self, text: str) -> Iterator[Piece]:
        if len(text) > self._sent:
            yield Piece("reply" if self._replying else "transcript", text[self._sent :])
            self._sent = len(text)


def _one_stage(examples: Sequence[Example]) -> int:
    stages = {e.stage for e in examples}
    if len(stages) > 1:
        raise RapportError(f"a batch holds examples of stages {sorted(stages)}: answer one stage at a time")
    return stages.pop()
