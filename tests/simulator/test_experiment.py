"""Experiment files: published ones load unchanged; the simulator's own keys are checked, the trainer's are handed through."""

from pathlib import Path

import pytest

from rapport.core.config import ConfigError
from rapport.simulator.experiment import load_experiment
from tests.simulator.example_project import edit, write_project


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_project(tmp_path) / "experiments" / "cafe.yaml"


@pytest.mark.parametrize("name", ["food_task", "food_corner_task"])
def test_the_published_experiments_load_as_they_are(shared_data: Path, name: str) -> None:
    experiment = load_experiment(shared_data / "spolacq" / "experiments" / f"{name}.yaml")
    assert (experiment.base.task_name, experiment.base.agent_name, experiment.base.dir_id) == (name, "sample01", "1")
    assert experiment.pretrain.audio.noise_num == 5
    assert experiment.pretrain.image.model.guidance_scale == 8.0
    assert experiment.rl.env.generative_models.image_generator.guidance_scale == 4
    assert experiment.rl.agent["RL"]["clip_sentence_embedding"] == 2.5
    assert experiment.raw["pretrain"]["I2U"]["dataset"]["max_len"] == 100
    assert experiment.raw["rl"]["env"]["total_timesteps"] == 10_000
    assert set(experiment.rl.agent["U2S"]["m2s"]["special_words"]) == {"<unk>", "<start>", "<end>", "<pad>"}


def test_keys_that_no_guide_tells_of_have_the_published_values(file: Path) -> None:
    text = file.read_text()
    start, end = text.index(",\n        generative_models"), text.index("}\n  agent:")
    file.write_text((text[:start] + text[end:]).replace(' dir_id: "1",', ""))
    experiment = load_experiment(file)
    models = experiment.rl.env.generative_models
    assert (models.LLM.max_model_len, models.LLM.gpu_memory_utilization) == (1200, 0.4)
    assert (models.LLM.max_new_tokens, models.LLM.temperature) == (150, 0.5)
    pictures = models.image_generator
    assert (pictures.num_inference_steps, pictures.guidance_scale, pictures.height, pictures.width) == (8, 4, 512, 512)
    assert experiment.base.dir_id is None
    assert "generative_models" not in experiment.raw["rl"]["env"], "as it was written"


def test_sections_of_the_trainer_are_handed_through(file: Path) -> None:
    file.write_text(file.read_text() + "mine: {x: [1, {y: null}]}\n")
    experiment = load_experiment(file)
    assert experiment.raw["mine"] == {"x": [1, {"y": None}]}
    assert experiment.rl.agent == {"steps": 200, "seed": 7}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("agent_name: kiosk01, ", "", "base.agent_name: missing"),
        ("noise_num: 3", "noise_nmu: 3", "pretrain.audio.noise_nmu: no such setting; did you mean noise_num?"),
        ("noise_num: 3, ", "", "pretrain.audio.noise_num: missing"),
        ("noise_num: 3", "noise_num: 0", "pretrain.audio.noise_num"),
        (
            "num_images_per_item: 5",
            "num_image_per_item: 5",
            "rl.env.num_image_per_item: no such setting; did you mean num_images_per_item?",
        ),
        ("max_new_tokens: 150", "max_new_token: 150", "rl.env.generative_models.LLM.max_new_token: no such setting"),
        ("record_eval_env: True", "record_eval_env: maybe", "rl.env.record_eval_env"),
        ("pretrain:", "pretrian:", "pretrian: no such setting; did you mean pretrain?"),
        ("base: {", "base: [{", "neither JSON nor YAML"),
    ],
)
def test_a_wrong_experiment_is_refused_by_file_and_key(file: Path, old: str, new: str, message: str) -> None:
    edit(file, old, new)
    with pytest.raises(ConfigError) as caught:
        load_experiment(file)
    assert message in str(caught.value)
    assert "cafe.yaml" in str(caught.value)


def test_lenient_experiments_need_only_a_task_and_an_agent(file: Path) -> None:
    file.write_text("base: {task_name: cafe, agent_name: 7}")
    assert load_experiment(file, strict=False).base.agent_name == "7"
    with pytest.raises(ConfigError, match=r"base\.device: missing"):
        load_experiment(file)
    file.write_text("base: {task_name: cafe}")
    with pytest.raises(ValueError, match=r"base\.agent_name"):
        load_experiment(file, strict=False)


def test_anchors_and_merges_are_read(file: Path) -> None:
    file.write_text("x: &a {y: 1}\nz: {<<: *a, w: 2}\nbase: {task_name: cafe, agent_name: kiosk01}")
    assert load_experiment(file, strict=False).raw["z"] == {"y": 1, "w": 2}
