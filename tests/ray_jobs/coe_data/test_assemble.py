"""build_coe from raw files to examples: what is made, what is refused, and what is left when it is stopped."""

import csv
import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rapport.core import storage
from rapport.core.config import find_preset, preset_names, read_config, with_values
from rapport.core.conversations import LABELS, TASKS
from rapport.core.errors import RapportError
from rapport.datasets.conversations.corpora import emorynlp, iemocap, meld, own
from rapport.datasets.conversations.examples import ExampleStore, check_mixture, open_examples, read_records
from rapport.datasets.conversations.seeds import gather_seeds
from rapport.datasets.conversations.tables import to_json_lines
from rapport.datasets.synthetic.drama_files import write_dramas
from rapport.datasets.synthetic.dramas import DramaConfig
from rapport.models.backends.llm.base import load_tokenizer
from rapport.models.erc.answers import copied_share, find_label
from rapport.models.erc.build import Built
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.config import PromptConfig
from rapport.models.erc.model_config import TokensConfig
from rapport.ray_jobs.build_coe import run
from rapport.ray_jobs.coe_data import assemble
from rapport.ray_jobs.coe_data.config import BuildCoeConfig

SMALL = DramaConfig(train=40, validation=4, test=5, people=24, seeds=8, facts=20, casts=10)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with made conversations."""
    folder = tmp_path_factory.mktemp("coe")
    write_dramas(SMALL, 0, str(folder / "conversations" / "made-meld"))
    return folder


def settings(root: Path, preset: str = "made-meld", **changes: Any) -> BuildCoeConfig:
    config = read_config(BuildCoeConfig, find_preset(preset, "build_coe"))
    given = {"storage": str(root), "tokenizer.vocabulary": 400, **{k.replace("__", "."): v for k, v in changes.items()}}
    return with_values(config, given)


@pytest.fixture(scope="module")
def store(root: Path) -> ExampleStore:
    return open_examples(run(settings(root, export__flat=True))["folder"])


def line_of(example_id: str) -> str:
    return example_id.rpartition("/")[0]


@pytest.mark.parametrize("name", preset_names("build_coe"))
def test_every_preset_is_read(name: str) -> None:
    assert read_config(BuildCoeConfig, find_preset(name, "build_coe")).name == name


def test_what_is_known_of_made_conversations_is_read_below_their_prompts(store: ExampleStore) -> None:
    assert store.knowledge_path is not None
    known = read_records(store.knowledge_path)
    prompts = {e.example_id: e.input for e in store.read("erc", "train")}
    assert len(known) == 30 + len(prompts) == store.manifest["knowledge"]
    assert len({e.example_id for e in known}) == len(known)
    assert all(e.gold == "" for e in known)
    assert all(e.input == "" for e in known[:30]), "facts and casts stand by themselves"
    below = [e.input.removesuffix("\n") for e in known[30:]]
    assert sorted(below) == sorted(text.removesuffix("ANSWER:").rstrip() for text in prompts.values())


def test_a_build_holds_examples_conversations_clues_and_tokenizer(root: Path, store: ExampleStore) -> None:
    made = meld.read(str(root / "conversations" / "made-meld"))
    assert store.made
    assert (store.corpus, store.labels) == ("meld", LABELS["meld"])
    assert store.conversations().conversations == made.conversations
    assert store.clues().digest == store.manifest["clues"]["digest"]
    assert PromptConfig(**store.prompt()).wording == "short"
    lines = sum(len(c.lines) for c in made.of("train"))
    assert store.manifest["counts"]["erc"]["train"] == lines == sum(store.manifest["label_counts"]["train"].values())
    assert len(store.read("steer", "train")) == lines - len(store.seeds()) == lines - 8
    assert {e.gold for e in store.seeds()} == set(store.labels)
    assert all(find_label(e.target, e.labels) == e.gold for e in store.seeds())
    assert all(e.target == e.gold for e in store.read("steer", "train"))
    tokenizer = load_tokenizer(str(store.tokenizer_folder))
    assert len(tokenizer) == store.manifest["tokenizer"]["size"]
    assert len(store.texts()) == 2 * (sum(store.manifest["counts"][t]["train"] for t in TASKS) + 8)
    assert storage.read_bytes(storage.join(store.folder, "bad_rows.jsonl")) == b""


def test_no_line_of_test_is_learned_from(store: ExampleStore) -> None:
    """(h): no test id in train and seeds, and no seed in the pool."""
    learned = {line_of(e.example_id) for t in TASKS for e in store.read(t, "train")} | {line_of(e.example_id) for e in store.seeds()}
    asked = {line_of(e.example_id) for t in TASKS for s in ("validation", "test") if store.has(t, s) for e in store.read(t, s)}
    assert not learned & asked
    assert not {e.example_id for e in store.seeds()} & {e.example_id for e in store.read("steer", "train")}
    test = store.read("steer", "test")
    with pytest.raises(RapportError, match="hold lines of test"):
        assemble._check_sides(Built({"steer": {"train": test}}))
    with pytest.raises(RapportError, match=r"learned from and asked about, such as meld/test/"):
        assemble._check_sides(Built({"steer": {"test": test}}, [replace(test[0], target="Why.")]))


def test_the_same_settings_give_the_same_build(root: Path, store: ExampleStore, capsys: pytest.CaptureFixture[str]) -> None:
    again = run(settings(root))
    assert (again["folder"], again["digest"]) == (store.folder, store.digest)
    assert "is finished" in capsys.readouterr().err
    assert assemble.plan(settings(root, prompt__clues__scene=False)).folder != store.folder
    assert assemble.plan(settings(root, clues__scenes="none")).folder != store.folder


def test_published_flat_files_are_written_and_taken_in(root: Path, store: ExampleStore, tmp_path: Path) -> None:
    home = Path(store.folder) / "flat"
    result = run(settings(tmp_path, corpus__name="flat", corpus__root=str(home), tokenizer__source="none"))
    taken = open_examples(result["folder"])
    assert taken.manifest["counts"] == store.manifest["counts"]
    assert set(taken.labels) == set(store.labels)
    for task in TASKS:
        for side in store.manifest["counts"][task]:
            assert [(e.input, e.target) for e in taken.read(task, side)] == [(e.input, e.target) for e in store.read(task, side)]
    assert [(e.input, e.target, e.gold) for e in taken.seeds()] == [(e.input, e.target, e.gold) for e in store.seeds()]
    assert taken.clues().digest == ""
    with pytest.raises(RapportError, match="prompts alone, without conversations"):
        taken.conversations()
    few = settings(
        tmp_path, corpus__name="flat", corpus__root=str(home), corpus__options={"labels": ["neutral", "sad"]}, tokenizer__source="none"
    )
    with pytest.raises(RapportError, match="unknown_label"):
        run(few)


def test_what_another_corpus_asks_about_is_taken_out(tmp_path: Path) -> None:
    """(h) across corpora: the guard refuses the mixture, and names the setting that mends it."""
    for corpus, train, test in (("one", "Why did you sell the old blue car?", "Hm."), ("two", "Ha.", "why did you sell the OLD blue car")):
        talks = [("t0", "train", train), ("t1", "train", "Never in all my life did I see that."), ("v", "test", test)]
        records = [
            {
                "dialogue_id": d,
                "dataset": corpus,
                "split": s,
                "turns": [{"speaker": "A", "text": "So?"}, {"speaker": "B", "text": t, "label": "x"}],
            }
            for d, s, t in talks
        ]
        storage.write_bytes(tmp_path / corpus / "dialogues.jsonl", to_json_lines(records))
        storage.write_json(tmp_path / corpus / "labels.json", ["x", "y"])

    def built(corpus: str, **changes: Any) -> ExampleStore:
        given = {"name": corpus, "corpus__root": str(tmp_path / corpus), "tokenizer__source": "none", **changes}
        return open_examples(run(settings(tmp_path, "own", **given))["folder"])

    one, two = built("one"), built("two")
    assert "no seeds" in one.manifest["notes"][-1]
    with pytest.raises(RapportError, match=r"build one with --apart\.builds two"):
        check_mixture([one, two])
    apart = built("one", apart__builds=("two",))
    assert [c.dialogue_id for c in apart.conversations().of("train")] == ["t1"]
    assert apart.manifest["removed"][-1] == "taken out of train: 1 of 2 dialogues and 1 of 2 lines"
    check_mixture([apart, two])


def test_an_over_long_iemocap_prompt_keeps_line_question_and_answer(tmp_path: Path) -> None:
    """(e), from text files to ids: nothing is longer than max_tokens, and what is asked is whole."""
    write_iemocap(tmp_path / "IEMOCAP", turns=40)
    changes = {"prompt__max_tokens": 600, "prompt__answer_tokens": 40, "tokenizer__vocabulary": 400}
    result = run(settings(tmp_path, "iemocap", corpus__root=str(tmp_path / "IEMOCAP"), **changes))
    assert result["cut"]["history_turns"] > 0
    built = open_examples(result["folder"])
    collator = ErcCollator(load_tokenizer(str(built.tokenizer_folder)), TokensConfig(max_tokens=600))
    said = {f"{c.split}/{c.dialogue_id}/{x.turn}": x for c in built.conversations().conversations for x in c.lines}
    cut = 0
    for task in ("erc", "steer"):
        for side in ("train", "validation", "test"):
            listed = built.read(task, side)
            collator.encode(listed)  # raises where one is too long
            for example in listed:
                line = said[example.example_id.partition("/")[2].rpartition("/")[0]]
                assert f">> {line.speaker}: {line.text}\nQUESTION: " in example.input
                assert example.input.endswith(f"LABELS: {', '.join(LABELS['iemocap'])}\nANSWER:")
                assert example.target == line.label
                cut += bool(example.meta["cut"])
    assert cut > 20
    assert any("happy" in told and "648" in told for told in result["deviations"])


def write_iemocap(folder: Path, turns: int) -> None:
    """Long conversations in the true layout, one a side."""
    iemocap.write_example(folder)
    codes = ("neu", "fru", "ang", "sad", "hap", "exc")
    for dialogue in ("Ses01F_impro01", "Ses01M_impro01", "Ses05F_impro07"):
        evaluations, words = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
        for turn in range(turns):
            name = f"{dialogue}_{'FM'[turn % 2]}{turn:03d}"
            evaluations.append(f"[{turn}.2500 - {turn}.7500]\t{name}\t{codes[turn % 6]}\t[2.5000, 2.5000, 3.0000]\n")
            words.append(f"{name} [{turn:03d}.2500-{turn:03d}.7500]: Number {turn}, and now you say this one more time to me, please.")
        for kind, lines in (("EmoEvaluation", evaluations), ("transcriptions", words)):
            path = folder / f"Session{int(dialogue[3:5])}" / "dialog" / kind / f"{dialogue}.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def broken(root: Path, folder: Path, change: Callable[[list[dict[str, str]]], None]) -> Path:
    """A copy of the made tables whose training rows were changed."""
    for path in (root / "conversations" / "made-meld").iterdir():
        if path.suffix in (".csv", ".json", ".jsonl") and path.name != "manifest.json":
            (folder / path.name).write_bytes(path.read_bytes())
    table = folder / "train_sent_emo.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with table.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Utterance", "caf\udce9", "encoding"),
        ("Utterance_ID", "0", "duplicate"),
        ("Emotion", "bored", "unknown_label"),
        ("Utterance", " ", "empty"),
    ],
)
def test_a_broken_row_is_told_and_costs_the_build_only_where_there_are_many(
    root: Path, tmp_path: Path, column: str, value: str, reason: str
) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        rows[-1][column] = value

    folder = str(broken(root, tmp_path, change))
    given: dict[str, Any] = {"corpus__root": folder, "tasks": ("erc",), "tokenizer__source": "none"}
    built = open_examples(run(settings(tmp_path, **given))["folder"])
    assert built.manifest["bad"] == {reason: 1}
    (row,) = storage.read_bytes(storage.join(built.folder, "bad_rows.jsonl")).decode().splitlines()
    assert "train_sent_emo.csv" in row
    with pytest.raises(RapportError, match=rf"1 {reason}.*raise max_bad_fraction"):
        run(settings(tmp_path, **given, corpus__options={"max_bad_fraction": 0}))


def test_a_missing_column_is_named(root: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            del row["Emotion"]

    with pytest.raises(RapportError, match='line 1: no column "Emotion"'):
        run(settings(tmp_path, corpus__root=str(broken(root, tmp_path, change))))


def test_a_full_disk_is_told_and_leaves_nothing_that_counts_as_finished(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path, corpus__root=str(root / "conversations" / "made-meld"), tasks=("erc",), tokenizer__source="none")
    write, written = storage.write_bytes, 0

    def full(path: str | Path, data: bytes | memoryview) -> None:
        nonlocal written
        written += 1
        if written == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(storage, "write_bytes", full)
    with pytest.raises(RapportError, match=r"no room left while writing .* run the job again"):
        run(config)
    folder = assemble.plan(config).folder
    assert storage.exists(folder)
    assert not storage.is_complete(folder)
    monkeypatch.undo()
    assert open_examples(run(config)["folder"]).read("erc", "train")


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match=r"make_conversations --config meld"):
        run(settings(tmp_path))
    with pytest.raises(RapportError, match=r"give the folder of iemocap with --corpus\.root"):
        run(settings(tmp_path, "iemocap"))
    with pytest.raises(RapportError, match="holds no stage: wanted folders role_play, speaker, steer, erc"):
        run(settings(tmp_path, corpus__name="flat", corpus__root=str(tmp_path)))
    meld.write_example(tmp_path)
    with pytest.raises(RapportError, match=r"no complete copy: .*no test: .*set complete to false"):
        run(settings(tmp_path, "meld", corpus__root=str(tmp_path), complete=True))
    own.write_example(tmp_path)
    assert run(settings(tmp_path, "own", corpus__root=str(tmp_path), tokenizer__source="none"))["counts"]["erc"] == {
        "test": 2,
        "train": 2,
        "validation": 1,
    }


@pytest.mark.parametrize("corpus", ["meld", "emorynlp"])
def test_real_counts_agree_and_shipped_seeds_fit(shared_data: Path, corpus: str) -> None:
    """(g): the counts of every side that is there; seeds cover all labels and quote nothing."""
    reader = {"meld": meld, "emorynlp": emorynlp}[corpus]
    if not (shared_data / corpus).is_dir():
        pytest.skip(f"no {corpus} at {shared_data}")
    plan = assemble.plan(settings(shared_data, corpus, corpus__root=str(shared_data / corpus)))
    source = plan.source
    assert isinstance(source, assemble.Source)
    assert source.found.deviations == []
    assert {"train", "validation"} <= set(source.found.counts())
    seeds, where = gather_seeds(reader.read(str(shared_data / corpus)))
    assert where == f"seeds_{corpus}.yaml, version 1"
    assert source.seeds == seeds
    lines = {(c.dialogue_id, x.turn): x for c in source.found.of("train") for x in c.lines}
    for seed in seeds:
        assert 12 <= len(seed.rationale.split()) - 1 <= 40
        assert copied_share(seed.rationale, lines[seed.dialogue_id, seed.turn].text, 3) == 0
