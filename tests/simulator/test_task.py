"""Task folders load as they were published; what is missing, misspelt or broken in one is told by file and key."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rapport.core.config import ConfigError
from rapport.simulator.patterns import load_patterns
from rapport.simulator.scenario import load_scenario
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState, FeedbackItem
from rapport.simulator.task import find_task, load_task, shipped_tasks
from rapport.simulator.task_functions import TaskFunctions
from tests.simulator.example_project import edit, write_project
from tests.simulator.published import FUNCTIONS, load_published


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path) / "tasks" / "cafe"


def _turn(state: np.ndarray, item: FeedbackItem | None, scene: int = 0) -> tuple[EnvironmentState, EnvironmentState]:
    silence = np.zeros(22_050, np.float32)
    images = [np.full((64, 64, 3), shade, np.uint8) for shade in (10, 200)]
    before = EnvironmentState(DialogueScene(0, silence, images), None, state)
    after = EnvironmentState(DialogueScene(scene, silence, []), DialogueFeedback(item, silence), state)
    return before, after


def test_the_example_task_loads_and_plays(folder: Path) -> None:
    task = load_task(folder)
    assert (task.name, task.max_step, task.folder) == ("cafe", 3, folder)
    assert task.patterns is not None
    assert task.patterns.utterance(task.scenario.items[4], 3) == "one cinnamon roll please"
    functions = task.functions
    assert functions.reward
    assert functions.terminated
    assert functions.observe
    before, after = _turn(np.array([0.5, 0.5], np.float32), FeedbackItem(1, None, task.scenario.items[1].attributes), scene=1)
    assert functions.reward(before, np.zeros(1, np.float32), after) == pytest.approx(0.6)
    assert functions.terminated(before, after)
    assert functions.observe(before)["leftimage"].shape == (64, 64, 3)
    assert not list(folder.rglob("__pycache__")), "nothing is written into somebody's folder"


def test_the_wrapper_of_a_task_is_applied_by_its_name(folder: Path) -> None:
    wrap = load_task(folder).wrap
    assert wrap is not None
    picture = gym.spaces.Box(0, 255, (512, 512, 3), np.uint8)

    class Inner(gym.Env):
        observation_space = gym.spaces.Dict({"state": gym.spaces.Box(0, 1, (2,)), "leftimage": picture, "rightimage": picture})

    space = wrap(Inner()).observation_space
    assert isinstance(space, gym.spaces.Dict)
    assert space["leftimage"].shape == (3, 512, 512)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_published_tasks_load_as_they_are(shared_data: Path, name: str) -> None:
    task = load_published(shared_data, name)
    assert (task.name, task.max_step, task.wrap) == (name, 2, None)
    assert (len(task.scenario.items), len(task.scenario.scenes)) == {"food_task": (20, 2), "food_corner_task": (10, 4)}[name]
    assert task.functions == FUNCTIONS[name]


def test_a_published_scenario_file_that_no_task_names_loads_too(shared_data: Path) -> None:
    scenario = load_scenario(shared_data / "spolacq" / "tasks" / "food_task" / "food_task.json")
    assert scenario.items[1].prompt == "A apple on a white background, uncooked, realistic."
    assert load_patterns(shared_data / "spolacq" / "tasks" / "food_task" / "utterance_patterns.json").groups.keys() == {"food", "else"}


def test_a_task_without_functions_says_how_to_give_them(shared_data: Path) -> None:
    with pytest.raises(ImportError, match=r"task_functions\.py: no such file.*`functions` given to load_task"):
        load_task(shared_data / "spolacq" / "tasks" / "food_task")


BROKEN = [
    ("task_config.json", '"max_step": 3', '"max_steps": 3', "max_steps: no such setting; did you mean max_step?"),
    ("task_config.json", '"max_step": 3', '"max_step": 0', "max_step: Input should be greater than 0"),
    ("task_config.json", ', "task_config_name": "cafe.json"', "", "task_config_name: Field required"),
    ("task_config.json", "cafe.json", "caffe.json", "caffe.json: no such file"),
    ("task_functions.py", "def termination_function", "def terminaton_function", "did you mean 'terminaton_function'?"),
    (
        "task_functions.py",
        "(current_env, action_waveform, next_env)",
        "(current_env, next_env)",
        "is called as reward_function(current_env,",
    ),
    ("task_functions.py", "def truncation_function(next_env): return False", "truncation_function = 3", "wanted the function"),
    ("task_functions.py", "import numpy as np", "import numpy as np\nimport no_such_module", "no_such_module"),
    ("task_functions.py", "import numpy as np", "import numpy as np\n(", "SyntaxError"),
    ("task_wrappers.py", "import gymnasium as gym", "import gymnasium as gym\nfrom tasks.cafe import no_such_file", "no_such_file"),
    ("task_wrappers.py", "import gymnasium as gym", "import gymnasium as gym\ngym.no_such_name", "no_such_name"),
    ("task_wrappers.py", "def wrap_task_env", "def wrap_env", "wanted a function wrap_task_env(base_env, **kwargs)"),
    (
        "utterance_patterns.json",
        '"else": ["{name}", "may i get {name}", "i\'d love {name}"]',
        '"elsewhere": ["{name}"]',
        "'espresso' is asked",
    ),
    ("utterance_patterns.json", '"cinnamon_roll": "baked"', '"cinnamon_roll": "bakde"', "did you mean 'baked'?"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), BROKEN, ids=[f"{file}-{message[:30]}" for file, _, _, message in BROKEN])
def test_a_broken_task_is_refused_by_file_and_key(folder: Path, file: str, old: str, new: str, message: str) -> None:
    edit(folder / file, old, new)
    with pytest.raises(ConfigError) as caught:
        load_task(folder)
    assert message in str(caught.value)
    assert (file if "caffe" not in message else "caffe.json") in str(caught.value)


def test_a_broken_wrapper_is_refused_also_when_lenient(folder: Path) -> None:
    edit(folder / "task_wrappers.py", "import gymnasium as gym", "import gymnasium as gym\nimport no_such_module")
    with pytest.raises(ImportError, match="no_such_module"):
        load_task(folder, strict=False)


def test_lenient_loading_does_without_functions_and_patterns(folder: Path) -> None:
    edit(folder / "task_functions.py", "def termination_function", "def terminaton_function")
    edit(folder / "task_functions.py", "(current_env, action_waveform, next_env)", "(current_env, next_env)")
    edit(folder / "task_config.json", '"max_step": 3', '"max_steps": 3')
    (folder / "utterance_patterns.json").unlink()
    task = load_task(folder, strict=False)
    assert task.functions.terminated is None
    assert task.functions.reward is not None
    assert task.max_step == 100
    assert task.patterns is None


def test_given_functions_stand_in_for_the_file(folder: Path) -> None:
    functions = TaskFunctions()
    (folder / "task_functions.py").write_text("raise RuntimeError")
    (folder / "task_wrappers.py").unlink()
    assert load_task(folder, functions=functions).functions is functions


def test_a_task_is_found_by_folder_or_by_shipped_name(folder: Path) -> None:
    assert find_task(folder) == folder
    assert load_task(folder.as_uri()).name == "cafe"
    assert find_task("cafe").parent.name == "tasks"
    assert {"cafe", "cafe_corner"} <= set(shipped_tasks())
    with pytest.raises(FileNotFoundError, match=r"no task 'caffe'; did you mean 'cafe'\?"):
        find_task("caffe")


def test_a_task_reaches_other_processes() -> None:
    from ray import cloudpickle

    task = load_task("cafe")
    there = cloudpickle.loads(cloudpickle.dumps(task))
    assert there.scenario == task.scenario
    assert there.functions.first_internal_state().shape == (2,)
    before, after = _turn(np.array([0.0, 1.0], np.float32), FeedbackItem(1, None, task.scenario.items[1].attributes), scene=1)
    assert there.functions.reward(before, np.zeros(1, np.float32), after) == 1.0
