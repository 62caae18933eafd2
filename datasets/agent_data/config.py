"""Settings of an agent's pretraining data: how many pictures and utterances, which noise, and what only the test side has."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from rapport.core.config import Config, Names


class PicturesConfig(Config):
    """Pictures of each item."""

    train_per_folder: int = Field(default=4, ge=1)
    """Pictures in each of an item's three training folders; 30 as published."""
    test_per_folder: int = Field(default=2, ge=1)
    """Pictures in each of an item's three test folders, of which two are for validation; 10 as published."""
    height: int = Field(default=64, ge=8)
    """Pixels; 512 as published."""
    width: int = Field(default=64, ge=8)
    """Pixels; 512 as published."""
    min_mean: float = Field(default=1.0, ge=0, le=255)
    """A picture whose mean pixel is darker is black, which is what a generator's safety filter leaves; it is drawn again."""
    min_spread: float = Field(default=0.0, ge=0)
    """A picture whose pixels have a smaller standard deviation is blank and drawn again; 0 lets flat colours pass."""
    attempts: int = Field(default=8, ge=1)
    """How often a picture is drawn before its item goes without."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """Of the stored pictures."""


class SpeechConfig(Config):
    """Utterances of each item, and the noise on them."""

    utterances: int = Field(default=3, ge=1)
    """Utterances that go with each picture (`noise_num` as published, 5 there): the patterns of the item in turn, from the first."""
    voices: Names = ()
    """Voices of the speech service that take turns; unless given, each item is spoken by the voice of the scene that offers it."""
    snr_db: float = 30.0
    """Level of speech above the white noise, in each frame of 20 ms."""
    published_tail: bool = False
    """Leave the noise of the last frame as published: unscaled, at an RMS of one step of 16-bit samples."""
    attempts: int = Field(default=3, ge=1)
    """How often a line is asked for when the speech service fails."""


class HeldOutConfig(Config):
    """What nothing but the test side has, so that the test tells what an agent makes of the unknown."""

    items: Names = ()
    """Names of items."""
    voices: Names = ()
    """Some of `speech.voices`; the test side then has no other voice."""
    patterns: tuple[int, ...] = ()
    """Numbers of utterances, from 0; the test side then has no other utterance."""


class AgentDataConfig(Config):
    """What an agent is pretrained on."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]*)?$")
    """Name of the data; the name of the task unless given."""
    pictures: PicturesConfig = PicturesConfig()
    """Pictures of items."""
    speech: SpeechConfig = SpeechConfig()
    """What is said of them."""
    held_out: HeldOutConfig = HeldOutConfig()
    """What only the test side has."""
    chunk_pictures: int = Field(default=32, ge=1)
    """Pictures drawn and written at once: what is lost when the work is killed."""
    chunk_clips: int = Field(default=256, ge=1)
    """Clips written or encoded at once."""
    workers: int | None = Field(default=None, ge=0)
    """Chunks under way at the same time, as many as the CPUs (or GPUs) hold unless told; 0 works in this process, without Ray."""
    gpus_per_worker: float = Field(default=0.0, ge=0)
    """Share of a GPU that each worker takes that draws, speaks or makes units, such as 1 or 0.5; 0 works on CPUs."""
    max_quarantined_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of pictures and clips that may be unusable; beyond it the work fails, with everything good kept."""

    @model_validator(mode="after")
    def _something_to_train_on(self) -> "AgentDataConfig":
        utterances, voices, held = self.speech.utterances, self.speech.voices, self.held_out
        if unknown := [p for p in held.patterns if not 0 <= p < utterances]:
            raise ValueError(f"held_out.patterns has {unknown[0]}, wanted numbers below speech.utterances, which is {utterances}")
        if len(set(held.patterns)) == utterances:
            raise ValueError(f"held_out.patterns holds out all of {utterances} utterances: raise speech.utterances, or hold out fewer")
        if strange := [v for v in held.voices if v not in voices]:
            raise ValueError(
                f"held_out.voices has {strange[0]!r}, wanted some of speech.voices, which are {', '.join(voices) or 'not set'}"
            )
        if voices and set(voices) <= set(held.voices):
            raise ValueError(f"held_out.voices holds out all of speech.voices ({', '.join(voices)}): leave one to train on")
        return self


def published_config(pretrain: Mapping[str, Any]) -> AgentDataConfig:
    """The settings that the section `pretrain` of an experiment YAML asks for; what it leaves open is as published.

    Its `overwrite_*_dataset` mean nothing here: the same settings give the same files, and other settings another folder.
    """
    audio, image = pretrain.get("audio", {}), pretrain.get("image", {})
    model = image.get("model", {})
    return AgentDataConfig(
        pictures=PicturesConfig(
            train_per_folder=image.get("train_images_per_folder", 30),
            test_per_folder=image.get("test_images_per_folder", 10),
            height=model.get("height", 512),
            width=model.get("width", 512),
        ),
        speech=SpeechConfig(
            utterances=audio.get("noise_num", 5), voices=(audio.get("voice", "af_heart"),), snr_db=audio.get("SNR", 30), published_tail=True
        ),
        chunk_pictures=image.get("batch_size", 16),
    )
