"""Rows survive Arrow and Parquet unchanged."""

from dataclasses import fields
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.core import storage
from rapport.core.schema import SPLITS, UTTERANCE_SCHEMA, Utterance, from_table, to_table

texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
utterances = st.builds(
    Utterance,
    utterance_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    corpus=st.just("toy"),
    audio_path=st.text(st.characters(codec="utf-8"), max_size=20),
    split=st.none() | st.sampled_from(SPLITS),
    start_s=st.floats(0, 1e6),
    end_s=st.none() | st.floats(0, 1e6),
    duration_s=st.none() | st.floats(0, 1e6),
    sample_rate_hz=st.none() | st.integers(1, 384_000),
    speaker_id=texts,
    text=texts,
    emotion=texts,
    turn=st.none() | st.integers(0, 10_000),
)


def test_the_schema_and_the_record_have_the_same_fields() -> None:
    assert sorted(UTTERANCE_SCHEMA.names) == sorted(f.name for f in fields(Utterance))


@settings(max_examples=50)
@given(st.lists(utterances, max_size=5))
def test_rows_come_back_from_a_table_unchanged(rows: list[Utterance]) -> None:
    assert from_table(to_table(rows)) == rows


def test_rows_come_back_from_parquet_and_further_columns_are_left_out(tmp_path: Path) -> None:
    rows = [Utterance("toy/1", "toy", "a.wav", text="größer 😀", turn=2), Utterance("toy/2", "toy", "b.wav")]
    table = to_table(rows).append_column("extra", pa.array([1, 2]))
    storage.write_table(tmp_path / "rows.parquet", table)
    assert from_table(storage.read_table(tmp_path / "rows.parquet")) == rows


def test_a_split_is_assigned_to_a_copy() -> None:
    row = Utterance("toy/1", "toy", "a.wav")
    assert row.with_split("test").split == "test"
    assert row.split is None
