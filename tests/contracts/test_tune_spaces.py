"""Every search space names real fields of a configuration class, with values that the class accepts."""

import random
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

import optuna
import pytest
from pydantic import TypeAdapter
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Categorical, Domain

from rapport.core import plugins
from rapport.core.config import JobConfig, dotted_fields


@pytest.fixture(params=plugins.available("tune_spaces"))
def space(request: pytest.FixtureRequest) -> ModuleType:
    return plugins.load("tune_spaces", request.param)


def test_space_says_what_it_searches_and_by_what_it_judges(space):
    assert space.__doc__
    assert issubclass(space.CONFIG, JobConfig)
    assert space.MODE in ("max", "min")
    assert isinstance(space.METRIC, str)
    assert len(space.SPACE) >= 8
    assert space.budget(space.CONFIG()) >= 1


def test_keys_are_settable_fields_of_the_configuration(space):
    fields = {name: (owner, own) for name, owner, own in dotted_fields(space.CONFIG)}
    assert [name for name in space.SPACE if name not in fields] == []


def test_values_lie_within_the_bounds_of_their_fields(space):
    fields = {name: (owner, own) for name, owner, own in dotted_fields(space.CONFIG)}
    for name, domain in space.SPACE.items():
        assert isinstance(domain, Domain), name
        owner, own = fields[name]
        # The field alone, without what its class says about several fields together.
        field = owner.model_fields[own]
        bounded: Any = Annotated[field.annotation, own, *field.metadata]
        check: TypeAdapter[Any] = TypeAdapter(bounded)
        for value in extremes(domain):
            assert check.validate_python(value, strict=True) == value


def test_optuna_can_draw_from_it(space):
    distributions = OptunaSearch.convert_search_space(space.SPACE)
    assert distributions.keys() == space.SPACE.keys()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert study.ask(distributions).params.keys() == space.SPACE.keys()


def test_job_can_be_searched(space):
    job = import_module(f"rapport.ray_jobs.{space.JOB}")
    assert callable(job.train)
    assert isinstance(job.run.__annotations__["config"], type)
    assert job.run.__annotations__["config"] is space.CONFIG
    assert callable(job.for_search)


def extremes(domain: Any) -> list[Any]:
    if isinstance(domain, Categorical):
        return list(domain.categories)
    drawn = [domain.sample(random_state=random.randrange(1000)) for _ in range(20)]
    # The upper bound of whole numbers is not drawn.
    ends = [domain.lower, domain.upper - 1 if isinstance(domain.lower, int) and isinstance(drawn[0], int) else domain.upper]
    return [*ends, *drawn]
