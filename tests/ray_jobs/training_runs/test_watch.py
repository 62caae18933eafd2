import json
import time
from functools import partial

from rapport.ray_jobs.training_runs.watch import epoch_line, watched

LINE = partial(epoch_line, epochs=4, figure="uar", name="UAR")


def record(epoch: int, validation: bool = True) -> dict:
    figures = {"uar": 0.5, "loss": 1.25}
    return {"epoch": epoch, "train": figures, "validation": figures if validation else None, "best": epoch == 1, "seconds": 3.2}


def test_an_epoch_is_told_in_a_line():
    assert LINE(record(1)) == "epoch 1/4  loss 1.250  train UAR 50.0%  validation UAR 50.0%  loss 1.250  best  3 s"
    assert LINE(record(2, validation=False)) == "epoch 2/4  loss 1.250  train UAR 50.0%  3 s"


def test_epochs_are_told_as_they_come_and_earlier_ones_not_again(tmp_path, capsys):
    def write(*epochs: int) -> None:
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record(epoch)) + "\n" for epoch in epochs))
        (tmp_path / "progress.json").write_text(json.dumps({"epoch": epochs[-1], "step": 10 * epochs[-1], "total_steps": 40}))

    write(1, 2)
    with watched(str(tmp_path), "toy", LINE):
        time.sleep(0.2)
        write(1, 2, 3)
        time.sleep(1.2)
        write(1, 2, 3, 4)
    told = capsys.readouterr().err
    assert [line.split()[1] for line in told.splitlines() if line.startswith("epoch")] == ["3/4", "4/4"]
    assert "training toy: steps: 40 of 40" in told


def test_a_training_that_never_began_is_not_waited_for(tmp_path):
    with watched(str(tmp_path), "toy", LINE):
        pass
