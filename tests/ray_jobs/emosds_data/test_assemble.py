import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rapport.core import storage
from rapport.core.config import find_preset, read_config, with_values
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES
from rapport.core.schema import SPLITS
from rapport.core.units import SpeechUnits
from rapport.datasets.emosds.examples import find_examples, read_examples
from rapport.ray_jobs.build_emosds import run
from rapport.ray_jobs.emosds_data import assemble
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from tests.toy_emosds import EMOTIONS, esd_rows, librispeech_rows, write_prepared, write_toy
from tests.toy_units import write_store


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_toy(folder)
    return folder


def settings(root: Path, **changes: object) -> BuildEmosdsConfig:
    given = {"storage": str(root), "dialogues": str(root / "EmoSC_dialogues.jsonl"), "name": "toy"}
    return with_values(BuildEmosdsConfig.model_validate(given), changes)


def test_three_stages_that_share_nothing_between_sides(root):
    result = run(settings(root))
    assert result["leak_free"]
    assert result["warnings"] == [
        "no units of librispeech, esd were extracted yet: utterances that cannot be encoded are still among the examples"
    ]
    assert set(result["counts"]) == {"1", "2", "3"}
    assert all(set(sides) == set(SPLITS) for sides in result["counts"].values())
    assert result["left_out"]["esd: speaker and sentence on different sides"] > 0
    assert result["folder"] == find_examples(str(root), "toy")
    leaks = storage.read_json(storage.join(result["folder"], "leaks.json"))
    assert leaks["speakers"]["distinct"] == 20
    assert leaks["recordings"]["shared_count"] == 0
    assert result["stages"]["3"]["test"]["dialogues"] > 0


def test_the_same_settings_give_the_same_build(root, capsys):
    first, second = run(settings(root)), run(settings(root))
    assert first == second
    assert "is finished" in capsys.readouterr().err
    assert assemble.plan(settings(root, seed=1)).folder != first["folder"]
    assert assemble.plan(settings(root, emotions=EMOTIONS[:3])).folder != first["folder"]


def test_a_corpus_that_is_prepared_anew_gives_a_new_build(tmp_path):
    write_toy(tmp_path, sentences=25)
    before = assemble.plan(settings(tmp_path)).folder
    write_prepared(tmp_path, esd_rows(10, 24), key="1" * 12)
    assert assemble.plan(settings(tmp_path)).folder != before


def test_without_dialogues_there_are_two_stages_and_without_speech_one(root):
    assert set(run(settings(root, dialogues="", name="two"))["counts"]) == {"1", "2"}
    assert set(run(settings(root, dialogues="", emotional=(), name="one"))["counts"]) == {"1"}


def test_the_published_way_leaks_and_says_so(root):
    preset = read_config(BuildEmosdsConfig, find_preset("upstream", "build_emosds"))
    config = with_values(preset, {"storage": str(root)})
    result = run(config)
    assert not result["leak_free"]
    assert any("speakers lie on more than one side" in warning for warning in result["warnings"])
    assert result["counts"]["2"] == {"train": 1800, "validation": 100, "test": 100}
    assert "test" not in result["counts"]["1"]


def test_fixed_sentences_are_named(tmp_path):
    write_prepared(tmp_path, esd_rows(10, 4))
    result = run(settings(tmp_path, asr=(), dialogues=""))
    assert result["leak_free"]
    assert "everybody says the same sentences in esd" in result["warnings"][0]


def test_rows_without_words_on_all_sides_are_left_out_for_that_alone(tmp_path):
    hums = [replace(row, utterance_id=f"{row.utterance_id}-hum", text=None) for row in librispeech_rows(sentences=1)]
    write_prepared(tmp_path, [*librispeech_rows(shared=0), *hums])
    result = run(settings(tmp_path, emotional=(), dialogues=""))
    assert result["left_out"] == {"librispeech: no text": 10}
    assert sum(result["counts"]["1"].values()) == 80


def test_what_is_missing_is_told(root, tmp_path):
    with pytest.raises(RapportError, match="no dialogues at"):
        run(settings(root, dialogues=str(root / "absent.jsonl")))
    with pytest.raises(RapportError, match="prepare_corpus"):
        run(settings(tmp_path, dialogues=""))
    with pytest.raises(RapportError, match="neither asr nor emotional"):
        run(settings(root, asr=(), emotional=(), dialogues=""))
    with pytest.raises(RapportError, match="extract_features"):
        run(settings(root, **{"export.jsonl": True}))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which one utterance of ESD has no units."""
    folder = tmp_path_factory.mktemp("heard")
    write_toy(folder, sentences=25)
    random = np.random.default_rng(0)
    for corpus, rows in (("esd", esd_rows(10, 25)[1:]), ("librispeech", librispeech_rows())):
        clips = {r.utterance_id: SpeechUnits.of(random.integers(0, 9, 12).repeat(2), random.normal(size=(24, 4))) for r in rows}
        write_store(folder / "features" / "units" / corpus / "0", clips)
    return folder


def test_what_has_no_units_is_left_out_and_counted(heard):
    result = run(settings(heard))
    assert result["left_out"]["esd: no units"] == 1
    assert not any("units" in warning for warning in result["warnings"])
    speech = storage.read_manifest(result["folder"])["speech"]
    assert set(speech) == {"esd", "librispeech"}
    assert speech["esd"]["longest_frames"] == 24
    assert speech["esd"]["codebook"] == "0" * 64


def test_lines_are_exported_as_published(heard):
    result = run(settings(heard, **{"export.jsonl": True, "export.residuals": True}))
    home = Path(result["folder"]) / "jsonl"
    assert {p.relative_to(home).as_posix() for p in home.rglob("*.jsonl")} == {
        f"{stage}/{split}.jsonl" for stage in ("asr", "asr_ser", "unified") for split in ("train", "valid", "test")
    }
    first = json.loads((home / "asr" / "train.jsonl").read_text().splitlines()[0])
    assert set(first) == {"prefix", "plain_text"}
    assert re.fullmatch(r".*\n<sosp>(<\d+>)+<eosp> ", first["prefix"])
    third = json.loads((home / "unified" / "test.jsonl").read_text().splitlines()[0])
    assert re.search(r"EmoSDS: <neutral> Well\?\nuser: <sadness> Wait\.\n", third["prefix"])
    assert re.fullmatch(r"<\w+> We've seen .* EmoSDS: <neutral> How so\?|<\w+> We've seen .* EmoSDS: <sadness> Oh no!", third["plain_text"])
    residuals = np.load(third["residual_path"], allow_pickle=False)
    assert residuals.dtype == np.float32
    assert residuals.shape == (third["residual_length"], 4)
    assert [read_examples(result["folder"], s, "train") != [] for s in STAGES] == [True] * 3


def encode(root: Path, corpus: str, codebook: str) -> None:
    """Units of a corpus, all the same, of a codebook."""
    rows = {"esd": esd_rows(10, 25), "librispeech": librispeech_rows()}[corpus]
    clips = {row.utterance_id: SpeechUnits.of([1, 2, 2]) for row in rows}
    write_store(root / "features" / "units" / corpus / f"{codebook[:2]}-{len(clips)}", clips, codebook * 64)


def test_units_of_several_codebooks_are_told_apart(tmp_path):
    write_toy(tmp_path, sentences=25)
    for corpus, codebook in (("esd", "a"), ("librispeech", "a"), ("esd", "b")):
        encode(tmp_path, corpus, codebook)
    assert assemble.plan(settings(tmp_path)).codebook == "a" * 64, "the only one of both corpora"

    encode(tmp_path, "librispeech", "b")
    with pytest.raises(RapportError, match=r"several codebooks .*esd: aaaaaaaaaaaa, bbbbbbbbbbbb.*--codebook"):
        assemble.plan(settings(tmp_path))
    plan = assemble.plan(settings(tmp_path, codebook="bbbbbb"))
    assert plan.codebook == "b" * 64
    assert {storage.read_manifest(folder)["features"]["codebook_hash"] for folder in plan.units.values()} == {"b" * 64}

    storage.write_json(str(tmp_path / "features" / "units" / "toy" / "codebook.json"), {"hash": "a" * 64})
    assert assemble.plan(settings(tmp_path)).codebook == "a" * 64, "called like the build"
    assert assemble.plan(settings(tmp_path, name="other", codebook="toy")).codebook == "a" * 64
    with pytest.raises(RapportError, match="toy"):
        assemble.plan(settings(tmp_path, name="other"))
    with pytest.raises(RapportError, match="codebook 'absent' is none"):
        assemble.plan(settings(tmp_path, codebook="absent"))


def test_corpora_of_different_codebooks_are_not_built_together(tmp_path):
    write_toy(tmp_path, sentences=25)
    encode(tmp_path, "esd", "a")
    encode(tmp_path, "librispeech", "b")
    with pytest.raises(RapportError, match="no codebook that all of them share"):
        assemble.plan(settings(tmp_path))
    plan = assemble.plan(settings(tmp_path, codebook="aaaaaa"))
    assert set(plan.units) == {"esd"}
    result = run(settings(tmp_path, codebook="aaaaaa"))
    assert any("no units of codebook aaaaaaaaaaaa of librispeech" in warning for warning in result["warnings"])
