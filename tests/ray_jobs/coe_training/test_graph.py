import pytest

from rapport.ray_jobs.coe_training.graph import Strategy, Switches, differences, stage_keys, stages_of

STRATEGIES: dict[Strategy, list[tuple[str, str | None]]] = {
    "full_curriculum": [("role_play", None), ("speaker", "role_play"), ("steer", "speaker"), ("erc", "steer")],
    "steer_only": [("steer", None), ("erc", "steer")],
    "auxiliary_only": [("role_play", None), ("speaker", "role_play"), ("erc", "speaker")],
    "mixed": [("steer", None), ("joint", None), ("erc", "joint")],
    "custom": [("erc", None)],
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_is_its_published_chain_of_stages(strategy):
    assert [(stage.name, stage.after) for stage in stages_of(strategy)] == STRATEGIES[strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_began_at_the_base_model_begins_at_the_base_stage_where_there_is_none(strategy):
    first, *others = stages_of(strategy, embedded=True)
    assert (first.name, first.after) == ("base", None)
    assert [(stage.name, stage.after) for stage in others] == [(name, after or "base") for name, after in STRATEGIES[strategy]]


def test_switches_choose_the_stages_of_custom():
    found = stages_of("custom", Switches(speaker=True, steer=True))
    assert [(stage.name, stage.after) for stage in found] == [("speaker", None), ("steer", "speaker"), ("erc", "steer")]


def test_the_joint_training_learns_what_self_training_harvested():
    steer, joint, _ = stages_of("mixed")
    assert steer.kind == "steer"
    assert joint.tasks == ("role_play", "speaker")
    assert joint.memory_of == "steer"


def test_the_last_stage_learns_the_harvest_again_where_there_is_one():
    found = {strategy: stages_of(strategy, rehearsal=True)[-1].memory_of for strategy in STRATEGIES}
    assert found == {"full_curriculum": "steer", "steer_only": "steer", "mixed": "steer", "auxiliary_only": None, "custom": None}
    assert {stages_of(strategy)[-1].memory_of for strategy in STRATEGIES} == {None}


def keys(strategy, **changes):
    stages = stages_of(strategy)
    return stage_keys(stages, {stage.name: {"seed": 0, **changes.get(stage.name, {})} for stage in stages})


def test_a_change_reaches_a_stage_and_those_after_it_alone():
    before, after = keys("full_curriculum"), keys("full_curriculum", speaker={"epochs": 3})
    assert [name for name in before if before[name] != after[name]] == ["speaker", "steer", "erc"]
    harvest, changed = keys("mixed"), keys("mixed", steer={"rounds": 3})
    assert [name for name in harvest if harvest[name] != changed[name]] == ["steer", "joint", "erc"]


def test_strategies_share_the_stages_that_are_made_from_the_same():
    curriculum, auxiliary, steer, mixed = (keys(s) for s in ("full_curriculum", "auxiliary_only", "steer_only", "mixed"))
    assert curriculum["speaker"] == auxiliary["speaker"]
    assert steer["steer"] == mixed["steer"] != curriculum["steer"]
    assert curriculum["erc"] != auxiliary["erc"]


def test_differences_are_told_by_dotted_names():
    then = {"training": {"epochs": 2, "optim": {"lr": 1e-3}}, "seed": 0}
    now = {"training": {"epochs": 2, "optim": {"lr": 2e-3}}, "examples": 5, "seed": 0}
    assert list(differences(then, now)) == [("examples", None, 5), ("training.optim.lr", 1e-3, 2e-3)]
