"""What an actor does with a block of prompts: the engine of its process answers them."""

import json
from dataclasses import asdict
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.erc.engine import RolloutEngine, open_engine
from rapport.models.erc.generation import Prompt
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ScoringConfig
from rapport.models.erc.scoring import Choice
from rapport.ray_jobs.coe_rollouts.config import ModelRef

_OPEN: dict[str, RolloutEngine] = {}
"""The engine of this process, by what was opened. Only one: a second model beside it may not fit."""


class Asker:
    """Answers blocks with one model. An item of work and its answer are JSON, as `rapport.datasets.ray_data.map_on_actors` sends them."""

    def __init__(self, model: ModelRef, engine: EngineConfig, how: ErcGenerationConfig | ScoringConfig) -> None:
        self._model, self._engine, self._how = model, engine, how

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """`answers` to the `rows` of a block, or `error`: what the user can mend. Another error ends the job with its trace."""
        try:
            answers = self.answer(json.loads(item["rows"]))
        except RapportError as error:
            return {"block": item["block"], "answers": "[]", "error": str(error)}
        return {"block": item["block"], "answers": json.dumps(answers, ensure_ascii=False), "error": ""}

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Fields of `Written`, or of `Scored` where answers are chosen, given fields of `Prompt` or `Choice`."""
        # Opened with the first block, as an error while an actor is made would not leave it as one.
        engine = engine_of(self._model, self._engine)
        if isinstance(self._how, ScoringConfig):
            choices = [Choice(**{**row, "labels": tuple(row["labels"])}) for row in rows]
            return [asdict(found) for found in engine.score(choices, self._how)]
        return [asdict(found) for found in engine.generate([Prompt(**row) for row in rows], self._how)]


def engine_of(model: ModelRef, config: EngineConfig) -> RolloutEngine:
    """The engine of this process with the model's adapters: a base model that is already open stays so.

    Raises RapportError when the model cannot be loaded, or the adapters were made for another one.
    """
    name = model.model.model_dump(mode="json") if isinstance(model.model, ErcModelConfig) else model.model
    key = storage.content_key({"model": name, "base": model.base, "engine": config.model_dump(mode="json")})
    engine = _OPEN.get(key)
    # A folder may bring adapters of its own, which are gone once others took their place.
    if engine is None or (model.adapter is None and engine.adapter is not None and isinstance(model.model, str)):
        _OPEN.clear()
        engine = _OPEN[key] = open_engine(model.model, config, base=model.base)
    if engine.adapter != model.adapter:
        engine.load_adapter(model.adapter)
    return engine
