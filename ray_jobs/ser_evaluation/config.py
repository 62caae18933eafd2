"""Settings of `evaluate_ser`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config, JobConfig, Names


class EmbeddingsConfig(Config):
    """Maps of what the model hears."""

    maps: tuple[Literal["t-SNE", "UMAP"], ...] = ("t-SNE", "UMAP")
    """Maps to draw; none leaves the embeddings out."""
    max_clips: int = Field(default=3000, ge=8)
    """Clips on a map, drawn by the seed when there are more."""


class EvaluateSerConfig(JobConfig):
    """Which model to evaluate on which clips."""

    model: str = ""
    """Name, folder or URI of a trained model; empty takes the newest under the storage root."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the evaluation; made from model, corpora and split unless given. The same name again replaces the earlier one."""
    corpora: Names = ()
    """Prepared corpora: names, or folders and URIs, separated by commas; those that the model was trained on unless given."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """Which side; auto is the test side of corpora that the model was trained on, and the whole of others."""
    noise: str | None = None
    """Prepared corpus of noise to mix the clips with: a name, folder or URI."""
    snr_db: tuple[float, ...] = (20.0, 10.0, 5.0, 0.0)
    """Signal-to-noise ratios to evaluate at, when noise is given."""
    actors: int | None = Field(default=None, ge=1)
    """Copies of the model that share the clips; one a GPU, or one for ten minutes of speech, unless told."""
    gpus_per_actor: float | None = Field(default=None, ge=0)
    """GPU share of each; 1 when the cluster has a GPU, unless told."""
    batch_size: int = Field(default=32, ge=1)
    """Clips in one call of the model."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws behind the intervals."""
    max_misclassified: int = Field(default=60, ge=0)
    """Misclassified clips to keep for listening, the most confident mistakes first."""
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    """Maps of the embeddings."""
    write_card: bool = True
    """Write the model card into the model folder."""
