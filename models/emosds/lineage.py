"""What a model was made from, so that a stage never continues another codebook, another vocabulary or the wrong stage."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError


class Lineage(Config):
    """Saved with every model. Its fields are None or 0 as long as nothing has been learned."""

    stage: int = Field(default=0, ge=0, le=3)
    """The last stage that was trained; 0 is a base model as it came."""
    codebook_hash: str | None = None
    """Of the units that it was trained on."""
    residual_sign: str | None = None
    """Which way round its residuals were taken."""
    tokens_hash: str | None = None
    """Of its added tokens and their ids."""
    predecessors: tuple[str, ...] = ()
    """Model folders that it came through, the first stage first."""
    data: dict[str, int] = Field(default_factory=dict)
    """Folders of the builds of examples that it was trained on, whose last names are their keys, and the last stage trained on each."""

    def next(
        self, stage: int, codebook_hash: str | None, residual_sign: str | None, tokens_hash: str, folder: str, data: str | None = None
    ) -> Self:
        """The lineage of the stage that starts from this model, which lies in `folder`, and is trained on the examples in `data`.

        Raises RapportError when this is not the model of the stage before, or was trained on other units or tokens. Stage 1 starts
        from an untrained model; a stage may be trained again from its own model, on more data.
        """
        if self.stage not in (stage - 1, stage):
            raise RapportError(f"{folder} is a model of stage {self.stage}: stage {stage} wants one of stage {stage - 1}")
        for name, mine, wanted in (
            ("codebook", self.codebook_hash, codebook_hash),
            ("residual sign", self.residual_sign, residual_sign),
            ("tokens", self.tokens_hash, tokens_hash),
        ):
            if self.stage and mine and wanted and mine != wanted:
                raise RapportError(f"{folder} was trained with {name} {mine}, and this stage has {wanted}: train the stages before it anew")
        return type(self)(
            stage=stage,
            codebook_hash=codebook_hash or self.codebook_hash,
            residual_sign=residual_sign or self.residual_sign,
            tokens_hash=tokens_hash,
            predecessors=(*self.predecessors, folder),
            data={**self.data, **({data: stage} if data else {})},
        )


def usefulness(saved: Mapping[str, Any]) -> int:
    """How much of a dialogue a model can do, by its config.json: 2 hears and replies, 1 hears, 0 reads words or has learned nothing."""
    stage = saved.get("lineage", {}).get("stage", 0)
    hears = saved.get("model", {}).get("inputs") != "text"
    return (2 if stage == 3 else 1) if hears and stage else 0
