from collections.abc import Iterator

from ray.train.v2.api.preemption import PreemptionInfo

from rapport.ray_jobs.training_runs.worker import Preemption


def test_a_notice_asks_for_one_checkpoint_and_a_notice_of_another_machine_for_another() -> None:
    answers: Iterator[PreemptionInfo | None] = iter(
        [None, notice("a"), notice("a"), notice("a", "b"), notice("b")],
    )
    preemption = Preemption(lambda: next(answers))
    assert [preemption(step) for step in (0, 10, 20, 30, 40)] == [False, True, False, True, False]


def test_ray_is_asked_at_the_same_few_steps_by_every_worker() -> None:
    asked: list[int] = []
    for step in range(1, 41):

        def ask(step: int = step) -> None:
            asked.append(step)

        Preemption(ask)(step)
    assert asked == [10, 20, 30, 40]


def notice(*nodes: str) -> PreemptionInfo:
    return PreemptionInfo(deadline_ms=None, preempted_node_to_ranks={node: [0] for node in nodes})
