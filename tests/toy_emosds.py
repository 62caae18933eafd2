"""A small ESD and LibriSpeech as prepared corpora of faint noise, and dialogues on the sentences of the former."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rapport.core import storage
from rapport.core.examples import ASSISTANT, STAGES, USER
from rapport.core.schema import Turn, Utterance, to_table
from rapport.core.units import SpeechUnits
from rapport.datasets.dialogues.emosc import Scenario, write_dialogues
from rapport.datasets.prepared import open_prepared
from rapport.datasets.stages.decode import SHARD_SCHEMA, shard_path
from tests.toy_units import write_store

EMOTIONS = ("angry", "happy", "neutral", "sad", "surprised")


def sentence(number: int) -> str:
    words = "zero one two three four five six seven eight nine".split()  # noqa: SIM905
    return f"We've seen the boat {' '.join(words[int(d)] for d in f'{number:03d}')}."


def esd_rows(speakers: int = 10, sentences: int = 350, emotions: Sequence[str] = EMOTIONS) -> list[Utterance]:
    """All sentences by all speakers in all emotions; the last speaker tests, the one before validates."""
    return [
        Utterance(
            utterance_id=f"esd/{speaker:04d}_{emotion}_{number:03d}",
            corpus="esd",
            audio_path="",
            split={speakers - 1: "test", speakers - 2: "validation"}.get(speaker, "train"),
            speaker_id=f"esd/{speaker:04d}",
            text=sentence(number),
            emotion=emotion,
            duration_s=2.0,
        )
        for speaker in range(speakers)
        for emotion in emotions
        for number in range(sentences)
    ]


def librispeech_rows(speakers: int = 10, sentences: int = 8, shared: int = 2) -> list[Utterance]:
    """Sentences of each speaker's own, and some of those of ESD."""
    return [
        Utterance(
            utterance_id=f"librispeech/{speaker}-{number}",
            corpus="librispeech",
            audio_path="",
            split={speakers - 1: "test", speakers - 2: "validation"}.get(speaker, "train"),
            speaker_id=f"librispeech/{speaker}",
            text=sentence(number) if number < shared else f"SPEAKER {'ABCDEFGHIJ'[speaker]} SAID {'IJKLMNOPQR'[number]} IT'S",
            duration_s=3.0,
        )
        for speaker in range(speakers)
        for number in range(sentences)
    ]


def scenarios(count: int = 350) -> list[Scenario]:
    """A scenario a sentence, in two emotions that go round."""
    history = (Turn(ASSISTANT, "Well?", "neutral"), Turn(USER, "Wait.", "sad"), Turn(ASSISTANT, "Of course.", "neutral"))
    return [
        Scenario(
            number,
            history,
            (Turn(USER, sentence(number), EMOTIONS[number % 5]), Turn(USER, sentence(number), EMOTIONS[(number + 1) % 5])),
            (Turn(ASSISTANT, "How so?", "neutral"), Turn(ASSISTANT, "Oh no!", "sad")),
        )
        for number in range(count)
    ]


def write_prepared(root: Path, rows: Sequence[Utterance], key: str = "0" * 12) -> str:
    """A finished preparation of these rows below a storage root; gives its folder."""
    folder = storage.join(root, "corpora", rows[0].corpus, key)
    table = to_table(rows)
    for name, values in (("shard", [0] * len(rows)), ("shard_row", list(range(len(rows))))):
        table = table.append_column(name, pa.array(values, pa.int32()))
    storage.write_table(storage.join(folder, "utterances.parquet"), table)
    noise = np.random.default_rng(0).integers(-9, 9, 1600).astype(np.int16).tobytes()
    shard = pa.table({"utterance_id": [row.utterance_id for row in rows], "pcm": [noise] * len(rows)}, schema=SHARD_SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SHARD_SCHEMA) as writer:
        writer.write_table(shard)
    storage.write_bytes(shard_path(folder, 0), memoryview(sink.getvalue()))
    storage.finish(folder, {"corpus": rows[0].corpus})
    return folder


def write_toy(root: Path, speakers: int = 10, sentences: int = 40) -> Path:
    """Both corpora prepared, and the file of dialogues, whose path this gives."""
    write_prepared(root, esd_rows(speakers, sentences))
    write_prepared(root, librispeech_rows())
    path = root / "EmoSC_dialogues.jsonl"
    write_dialogues(path, scenarios(sentences))
    return path


def write_units(root: Path, clusters: int = 9, width: int = 4) -> None:
    """Units of both corpora of `write_toy`, random but for what they tell: the unit 0 to 4 that comes first is the emotion's."""
    random = np.random.default_rng(0)
    for path in sorted((root / "corpora").glob("*/*")):
        rows = open_prepared(str(path)).rows
        clips = {}
        for row in rows:
            ids = random.integers(0, clusters, 6).repeat(2)
            ids[0] = EMOTIONS.index(row.emotion) if row.emotion else 8
            clips[row.utterance_id] = SpeechUnits.of(ids, random.normal(size=(12, width)).astype(np.float32))
        write_store(root / "features" / "units" / rows[0].corpus / "0", clips, clusters=clusters)


def write_model(folder: Path, *, inputs: str = "units+residuals", stage: int = 3, seed: int = 0, tokens: int = 0) -> Path:
    """A model of random weights for `write_units`, as if trained up to a stage; its vocabulary is enlarged to `tokens`."""
    import torch

    from rapport.models.emosds.config import EmosdsConfig
    from rapport.models.emosds.lineage import Lineage
    from rapport.models.emosds.pretrained import build_model, save_pretrained

    config = EmosdsConfig.model_validate(
        {
            "base": "embedded",
            "embedded": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 32, "vocabulary": 300},
            "inputs": inputs,
            "clusters": 9,
            "residual_width": 4,
            "injection": {"kind": "linear"},
            "instructions": "short",
            "max_tokens": 512,
        }
    )
    model = build_model(config, [sentence(i) for i in range(40)], seed)
    if any(config.hears_residuals(done) for done in STAGES if done <= stage):
        model.fit_scale(torch.from_numpy(np.random.default_rng(seed).normal(size=(50, 4)).astype(np.float32)))
    if tokens:
        model.base.resize_token_embeddings(tokens, mean_resizing=False)
    codebook = None if inputs == "text" else "0" * 64
    sign = "centroid-frame" if "residuals" in inputs else None
    lineage = Lineage(stage=stage, codebook_hash=codebook, residual_sign=sign, tokens_hash=model.manifest.hash)
    save_pretrained(model, folder, lineage=lineage)
    return folder
