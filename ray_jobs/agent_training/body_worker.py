"""What the worker of a body's training does: the plain loops of `rapport.training`, told to Ray Train."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import ray.train.torch
import torch
from safetensors.torch import save

from rapport.core import storage
from rapport.datasets.agent_data.pictures import read_picture
from rapport.datasets.agent_data.speech import read_clip
from rapport.datasets.agent_data.store import AgentData, Caption
from rapport.models.saving import WEIGHTS
from rapport.models.spolacq.body import SpolacqBody
from rapport.models.spolacq.captions import Vocabulary
from rapport.models.spolacq.eyes import Eyes, load_eyes
from rapport.models.spolacq.i2u import ImageToUnits
from rapport.models.spolacq.mel_units import load_mel_units
from rapport.models.spolacq.voice import SpectrumVoice, UnitVoice
from rapport.ray_jobs.agent_training.body import HEARING, SPEAKING, SPELLING, BodyRun
from rapport.ray_jobs.agent_training.run_folder import BODY
from rapport.ray_jobs.training_runs.run_folder import newest_checkpoint
from rapport.ray_jobs.training_runs.worker import open_tracker, reporter, told_errors
from rapport.training.checkpoint import load_checkpoint
from rapport.training.image_to_units import CaptionData, CaptionProgress, Captions, captions_of, train_image_to_units
from rapport.training.units_to_speech import SpokenData, SpokenProgress, SpokenUnits, train_units_to_speech


def train_part(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Train a part of a body, and save the body once the last is trained; gives the figures, or `error` with what the user can mend.

    `setup` holds `run` (a `BodyRun`) and `threads`.
    """
    run = BodyRun.model_validate(setup["run"])
    return told_errors(lambda: (_spell if run.part == SPELLING else _speak)(run), setup["threads"])


def _spell(run: BodyRun) -> dict[str, Any]:
    """Learn to say what is seen, and save the body."""
    data = AgentData(run.data, run.units)
    eyes = load_eyes(run.body.eyes, device=str(ray.train.torch.get_device()))
    train, validation = data.captions("train"), data.captions("val")
    vocabulary = Vocabulary.of([caption.units for caption in train], run.body.image_to_units.min_count)
    sides = CaptionData(*(_captions(run, eyes, captions, vocabulary) for captions in (train, validation)))
    torch.manual_seed(run.seed)
    model = ImageToUnits(run.body.image_to_units, eyes.width, vocabulary.size).to(ray.train.torch.get_device())
    found = newest_checkpoint(run.run)
    checkpoint = load_checkpoint(found, CaptionProgress) if found else None
    tracker = open_tracker(run, run.run, SPELLING, checkpoint)
    told = reporter(run.run, tracker, _flat)
    result = train_image_to_units(model, sides, run.image_to_units, seed=run.seed, report=told, checkpoint=checkpoint)
    tracker.close()
    figures: dict[str, Any] = {
        "pictures": len(data.pictures("train")),
        "captions": len(train),
        "units": len(vocabulary.units),
        "validation": result.validation,
        "epoch": result.epoch,
        "epochs": len(result.history),
        "seconds": result.seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    body = SpolacqBody(run.body, eyes, model.cpu(), vocabulary, _voice(run))
    body.save_pretrained(storage.join(run.folder, BODY), metrics=figures)
    return figures


def _captions(run: BodyRun, eyes: Eyes, captions: list[Caption], vocabulary: Vocabulary) -> Captions:
    """Captions that are not too long for the model, with the features of their pictures."""
    longest = run.body.image_to_units.max_units
    fitting = [caption for caption in captions if len(caption.units) <= longest]
    paths = sorted({caption.picture for caption in fitting})
    places = {path: place for place, path in enumerate(paths)}
    features = eyes.see([read_picture(path) for path in paths]) if paths else np.zeros((0, eyes.width), np.float32)
    chosen = [places[caption.picture] for caption in fitting]
    return captions_of(features, chosen, [caption.units for caption in fitting], vocabulary, longest)


def _voice(run: BodyRun) -> UnitVoice:
    if run.body.voice.kind == "embedded":
        return SpectrumVoice(load_mel_units(storage.join(run.folder, HEARING)), run.body.voice.iterations)
    from rapport.models.spolacq.tacotron_voice import TacotronVoice, load_hifigan, load_tacotron

    source = run.body.voice.tacotron_source or storage.join(run.folder, SPEAKING)
    voice = run.body.voice.model_copy(update={"tacotron_source": source})
    return TacotronVoice(load_tacotron(voice), load_hifigan(voice))


def _speak(run: BodyRun) -> dict[str, Any]:
    """Learn to speak units."""
    from rapport.models.spolacq.tacotron import build_tacotron

    data = AgentData(run.data, run.units)
    sides = [
        [SpokenUnits.of(clip.units, read_clip(clip.path)) for clip in data.clips(side) if clip.units is not None]
        for side in ("train", "val")
    ]
    torch.manual_seed(run.seed)
    model = build_tacotron(run.body.voice.tacotron).to(ray.train.torch.get_device())
    found = newest_checkpoint(run.run)
    checkpoint = load_checkpoint(found, SpokenProgress) if found else None
    tracker = open_tracker(run, run.run, SPEAKING, checkpoint)
    told = reporter(run.run, tracker, _flat)
    result = train_units_to_speech(model, SpokenData(*sides), run.units_to_speech, seed=run.seed, report=told, checkpoint=checkpoint)
    tracker.close()
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    storage.write_bytes(storage.join(run.run, WEIGHTS), save(weights))
    return {"clips": len(sides[0]), "epoch": result.epoch, "epochs": len(result.history), "seconds": result.seconds}


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray hears of an epoch."""
    return {"epoch": record["epoch"], "train_loss": record["train"]["loss"], **(record["validation"] or {})}
