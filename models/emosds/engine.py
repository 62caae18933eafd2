"""Answers to recordings: encoder, codebook and language model behind one call, from one folder.

    engine = load_engine("~/rapport/models/emosds/NAME")
    engine.reply([Question(samples, history)])[0].answer.reply

The model folder holds its codebook in `codebook/`, and the codebook tells its encoder, so that the folder alone is enough.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

import torch

from rapport.core.errors import RapportError
from rapport.core.examples import Example, Stage
from rapport.core.units import ResidualSign, SpeechUnits
from rapport.models.emosds.answer import Piece
from rapport.models.emosds.codebooks import codebook_of
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import EngineFacts, Question, Reply
from rapport.models.emosds.generation import Generated, Generator
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.pretrained import from_pretrained
from rapport.models.saving import ModelError
from rapport.models.units.codebook import Codebook
from rapport.models.units.front_end import FrontEnd, frames_of, load_encoder

Item = tuple[int, Piece | Reply | Exception]


def load_engine(
    folder: str | Path, *, codebook: str | Path = "", root: str = "", encoder: str = "", device: str = "auto"
) -> "SpeechEngine":
    """The engine of a model folder (path or URI), on a torch device or `auto`.

    Where the model folder keeps no codebook, `codebook` names its folder, or it is looked for below the storage root `root`. `encoder`
    tells where a pretrained encoder's weights lie now. Raises RapportError when the codebook is not the one that the model was trained on.
    """
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    model = from_pretrained(folder, torch.bfloat16 if where.type == "cuda" else torch.float32)
    if model.settings.inputs == "text":
        raise ModelError(f"{folder} reads words in place of speech (inputs is 'text'): take a model that hears")
    found = codebook_of(folder, model.lineage.codebook_hash, named=codebook, root=root)
    sign = check_codebook(model, found, folder)
    front_end = FrontEnd(load_encoder(frames_of(found, source=encoder, device=str(where))), found, sign)
    return SpeechEngine(model.to(where), front_end)


def check_codebook(model: SpeechLanguageModel, codebook: Codebook, folder: str | Path) -> ResidualSign:
    """The sign of the residuals that the model was trained with.

    Raises ModelError when it was trained with another codebook.
    """
    lineage, settings = model.lineage, model.settings
    if lineage.codebook_hash and lineage.codebook_hash != codebook.hash:
        raise ModelError(
            f"{folder} was trained with codebook {lineage.codebook_hash[:12]}, and this one is {codebook.hash[:12]}: name its own"
        )
    if (settings.clusters, settings.residual_width) != (codebook.clusters, codebook.width):
        raise ModelError(
            f"{folder} has {settings.clusters} units and residuals of {settings.residual_width}, codebook {codebook.hash[:12]} has "
            f"{codebook.clusters} and {codebook.width}: name the codebook that it was trained with"
        )
    return "frame-centroid" if lineage.residual_sign == "frame-centroid" else "centroid-frame"


class SpeechEngine:
    """A `rapport.models.emosds.dialogue.DialogueEngine`."""

    def __init__(self, model: SpeechLanguageModel, front_end: FrontEnd) -> None:
        self.model = model
        self.front_end = front_end
        self._collator = model.collator()
        self._generator = lru_cache(maxsize=32)(Generator(model).with_config)

    @property
    def facts(self) -> EngineFacts:
        """As `DialogueEngine.facts`."""
        settings = self.model.settings
        return EngineFacts(settings.emotions, self.model.lineage.stage == 3, settings.base, settings.history_turns)

    def reply(self, questions: Sequence[Question]) -> list[Reply]:
        """As `DialogueEngine.reply`."""
        replies: dict[int, Reply] = {}
        for row, item in (found for step in self.stream(questions) for found in step):
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Reply):
                replies[row] = item
        return [replies[row] for row in range(len(questions))]

    def stream(self, questions: Sequence[Question], gone: Callable[[int], bool] | None = None) -> Iterator[list[Item]]:
        """As `DialogueEngine.stream`. Questions of equal settings are decoded in one batch, and batches by turns."""
        speech = self.front_end([q.samples for q in questions], residuals=self.model.settings.inputs != "units")
        batches: dict[tuple[Stage, GenerationConfig], list[_Row]] = {}
        refused: list[Item] = []
        for number, (question, units) in enumerate(zip(questions, speech, strict=True)):
            try:
                row = self._row(number, question, units)
            except RapportError as error:
                refused.append((number, error))
            else:
                batches.setdefault((row.example.stage, question.generation), []).append(row)
        if refused:
            yield refused
        for steps in zip_longest(*(self._write(config, rows, gone) for (_, config), rows in batches.items()), fillvalue=()):
            yield [item for step in steps for item in step]

    def _row(self, number: int, question: Question, units: SpeechUnits) -> "_Row":
        stage = self._stage(question)
        known = self.model.settings.emotions
        turns = [replace(turn, emotion=turn.emotion if turn.emotion in known else None) for turn in question.history if stage == 3]
        # What is drawn depends on the example's name: on the seed, and not on what is drawn beside it.
        name = f"question/{question.seed}"
        example = Example(name, stage, "test", name, "serving", "", history=tuple(turns))
        answer, limit = question.generation.max_new_tokens, self.model.settings.max_tokens
        try:
            tokens = len(self._collator.encode(example, units, answered=False))
        except RapportError as error:
            raise RapportError(f"the recording is too long, or its history: {error}") from error
        if tokens + answer > limit:
            asked = f"take {tokens} tokens, an answer {answer}, and the model has room for {limit}"
            raise RapportError(f"the recording is too long, or its history: they {asked}")
        return _Row(number, example, units, tokens)

    def _stage(self, question: Question) -> Stage:
        """The stage whose form of question and answer does what is asked."""
        trained = self.model.lineage.stage
        if question.replies:
            if trained < 3:
                raise RapportError(
                    f"this model was trained up to stage {trained}, and only one of stage 3 replies: ask it for transcriptions"
                )
            return 3
        return 1 if trained == 1 else 2

    def _write(self, config: GenerationConfig, rows: Sequence["_Row"], gone: Callable[[int], bool] | None) -> Iterator[list[Item]]:
        left = (lambda place: gone(rows[place].number)) if gone else None
        for step in self._generator(config).stream_batch([r.example for r in rows], [r.units for r in rows], left):
            yield [(rows[place].number, _reply(rows[place], item) if isinstance(item, Generated) else item) for place, item in step]


class _Row:
    def __init__(self, number: int, example: Example, units: SpeechUnits, tokens: int) -> None:
        self.number, self.example, self.units, self.tokens = number, example, units, tokens


def _reply(row: _Row, generated: Generated) -> Reply:
    scores = generated.user_scores, generated.reply_scores
    return Reply(generated.answer, generated.finished, row.tokens, len(generated.ids), *scores)
