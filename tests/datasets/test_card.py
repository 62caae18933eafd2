from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core.config import ConfigError, read_config
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets import card as cards
from rapport.datasets.card import Card, count_differences, has_card, read_card

NAMES = sorted(p.stem for p in (Path(cards.__file__).parent / "cards").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_card_is_complete(name):
    assert has_card(name)
    card = read_card(name)
    assert all((card.title, card.licence, card.source, card.citation))


def test_a_label_map_can_be_that_of_another_card():
    assert read_card("csv").label_map == read_card("folder_of_labels").label_map != {}


def test_a_card_that_does_not_exist_is_an_error_and_an_own_corpus_has_none():
    assert not has_card("mine")
    with pytest.raises(RapportError, match="no card for corpus 'mine'"):
        read_card("mine")


def test_a_label_outside_the_vocabulary_is_refused(tmp_path):
    (tmp_path / "odd.yaml").write_text("title: a\nlicence: b\nsource: c\ncitation: d\nlabel_map: {x: angri}\n")
    with pytest.raises(ConfigError, match="did you mean 'angry'"):
        read_config(Card, tmp_path / "odd.yaml")


def test_counts_are_compared_with_a_complete_copy():
    row = Utterance("emodb/03a01Fa", "emodb", "x.wav", speaker_id="emodb/03", emotion="happy")
    differences = count_differences(read_card("emodb"), [row, replace(row, utterance_id="emodb/03a02Fa")])
    assert "utterances: 2 of 535 in the complete corpus" in differences
    assert "happy: 2 of 71 in the complete corpus" in differences
    assert count_differences(read_card("csv"), [row]) == []
