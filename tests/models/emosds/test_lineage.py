from rapport.models.emosds.lineage import Lineage

FIRST, SECOND = "/storage/features/emosds/embedded/0a1b", "/storage/features/emosds/embedded/2c3d"


def test_a_model_knows_the_builds_that_it_was_trained_on_and_the_last_stage_of_each() -> None:
    one = Lineage().next(1, "c", None, "t", "base", FIRST)
    two = one.next(2, "c", None, "t", "one", FIRST)
    three = two.next(3, "c", None, "t", "two", SECOND)
    assert (one.data, two.data, three.data) == ({FIRST: 1}, {FIRST: 2}, {FIRST: 2, SECOND: 3})
    assert Lineage.model_validate(three.model_dump(mode="json")) == three


def test_what_a_model_saved_without_builds_was_trained_on_is_not_known() -> None:
    saved = {"stage": 1, "codebook_hash": "c", "residual_sign": None, "tokens_hash": "t", "predecessors": ["base"]}
    before = Lineage.model_validate(saved)
    assert before.data == {}
    assert before.next(2, "c", None, "t", "one", SECOND).data == {SECOND: 2}
