"""Settings of `fit_units` and `extract_features`. Imports neither torch nor ray, so that `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config, JobConfig, Names
from rapport.core.units import ResidualSign
from rapport.models.units.config import FrameConfig, KMeansConfig


class FeatureJobConfig(JobConfig):
    """What both jobs take."""

    corpora: Names = ("esd",)
    """Prepared corpora: names, or folders and URIs, separated by commas."""
    frames: FrameConfig = FrameConfig()
    """The encoder."""
    chunk_size: int = Field(default=128, ge=1)
    """Clips encoded and written at once: what is lost when a job is killed."""
    actors: int | None = Field(default=None, ge=1)
    """Encoders that run at the same time; one a CPU, or as many as the GPUs hold, unless told."""
    gpus_per_actor: float = Field(default=0.0, ge=0)
    """Share of a GPU that each encoder takes, such as 1 or 0.5; 0 encodes on CPUs."""


class FitUnitsConfig(FeatureJobConfig):
    """How to fit a codebook."""

    name: str = Field(default="embedded", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the codebook, which lies in <storage>/features/units/<name>. The same name again continues a run that was interrupted."""
    sides: tuple[Literal["train", "validation", "test"], ...] = ("train",)
    """Sides of the corpora whose speech is fitted; leave out what is tested on."""
    kmeans: KMeansConfig = KMeansConfig()
    """The fit."""
    published: str = ""
    """A k-means model that scikit-learn fitted and joblib saved: its centroids are taken in place of a fit, and nothing in it is run."""


class UnitsConfig(Config):
    """How units and residuals are made."""

    codebook: str = "embedded"
    """Name that fit_units gave, or the codebook's folder or URI."""
    residuals: bool = True
    """Store residuals beside the units."""
    residual_sign: ResidualSign = "centroid-frame"
    """Which way round."""
    residual_dtype: Literal["float16", "float32"] = "float16"
    """Precision in which residuals are stored."""
    residual_tree: str = ""
    """Folder of published residuals, one .npy a clip, which are stored in place of computed ones."""
    audio_root: str = ""
    """With residual_tree, the folder of audio that it mirrors, as the corpus was prepared."""
    encoder_source: str = ""
    """Where the encoder's weights lie now, when not where they lay when the codebook was fitted."""


class ExtractFeaturesConfig(FeatureJobConfig):
    """What to extract."""

    features: Literal["units", "frames", "egemaps", "logmel"] = "units"
    """Units with residuals (by the codebook's own encoder), frames of the encoder `frames`, eGeMAPS, or log-mel spectra."""
    units: UnitsConfig = UnitsConfig()
    """Settings of units."""
    dtype: Literal["float16", "float32"] = "float32"
    """Precision of stored frames, eGeMAPS and spectra."""
    max_quarantined_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of clips that may come out without features; beyond it the job fails, with everything good kept."""
