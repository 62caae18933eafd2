# ruff: noqa: E501 - the files stand here as they were published
"""A project as anybody would write it to the published contracts: the task `cafe`, the agent `kiosk01`, a prompt and an experiment.

    project = write_project(tmp_path)

It is the example of the published guide, complete and unchanged.
"""

from pathlib import Path

FILES = {
    "tasks/cafe/task_config.json": """\
{"env_name": "Cafe-v0", "make_env": "tasks.cafe.task_wrappers:wrap_task_env", "max_step": 3, "task_config_name": "cafe.json"}
""",
    "tasks/cafe/cafe.json": """\
{"initial_scene_id": 0,
 "items": [{"id": 1, "name": "espresso", "attributes": {"sweet": 0.1, "caffeine": 0.9}},
           {"id": 2, "name": "hot_cocoa", "prompt": "a mug of hot cocoa, top view, plain backdrop", "attributes": {"sweet": 0.9, "caffeine": 0.2}},
           {"id": 3, "name": "green_tea", "attributes": {"sweet": 0.0, "caffeine": 0.5}},
           {"id": 4, "name": "cinnamon_roll", "attributes": {"sweet": 1.0, "caffeine": 0.0}}],
 "scenes": [{"id": 0, "name": "Counter", "role_description": "a barista", "speaker_description": "af_heart", "items": [1, 2, 3, 4],
             "possible_next_scenes": [1], "system_guidelines": "Hand over an item only when the guest names exactly one offered item."},
            {"id": 1, "name": "Exit", "role_description": "a barista", "speaker_description": "af_heart", "items": [],
             "possible_next_scenes": [1], "system_guidelines": "Say goodbye."}]}
""",
    "tasks/cafe/utterance_patterns.json": """\
{"scene": {"cinnamon_roll": "baked"}, "baked": ["{name}", "one {name} please"], "else": ["{name}", "may i get {name}", "i'd love {name}"]}
""",
    "tasks/cafe/task_functions.py": """\
import numpy as np
BLANK = np.zeros((512, 512, 3), np.uint8)
def initial_internal_state_function(): return np.random.rand(2).astype(np.float32)      # [sweet craving, sleepiness]
def _fit(state, item): return 1.0 - float(np.mean(np.abs(state - [item.attributes["sweet"], item.attributes["caffeine"]])))
def reward_function(current_env, action_waveform, next_env):
    got = next_env.dialogue_feedback.selected_item
    return 0.0 if got is None else _fit(current_env.internal_state, got)
def termination_function(current_env, next_env): return next_env.dialogue_scene.scene_id == 1
def truncation_function(next_env): return False
def internal_state_update_function(state, feedback): return state if feedback.selected_item is None else state * np.float32(0.5)
def observation_function(env):
    im = list(env.dialogue_scene.images) + [BLANK, BLANK]
    return {"state": env.internal_state, "leftimage": im[0], "rightimage": im[1]}
""",
    "tasks/cafe/task_wrappers.py": """\
import gymnasium as gym
class Scale(gym.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env); s = dict(env.observation_space.spaces)
        s.update({k: gym.spaces.Box(0.0, 1.0, (3, 512, 512)) for k in ("leftimage", "rightimage")}); self.observation_space = gym.spaces.Dict(s)
    def observation(self, o): return {k: (v.transpose(2, 0, 1) / 255.0).astype("float32") if k.endswith("image") else v for k, v in o.items()}
def wrap_task_env(base_env, **kwargs): return Scale(base_env)
""",
    "agents/kiosk01/agent_config.json": """\
{"agent_class": "KioskAgent", "trainer_class": "KioskTrainer"}
""",
    "agents/kiosk01/agent.py": """\
import numpy as np
from agents.base_agent import BaseAgent
class KioskAgent(BaseAgent):
    def action2speech(self, action): return self.clips[int(action)]                      # clip bank filled by the trainer
""",
    "agents/kiosk01/trainer.py": """\
import gymnasium as gym, soundfile as sf
from agents.base_trainer import BaseTrainer
class Speak(gym.ActionWrapper):
    def __init__(self, env, agent): super().__init__(env); self.agent = agent; self.action_space = gym.spaces.Discrete(len(agent.clips))
    def action(self, a): return self.agent.action2speech(a)
class KioskTrainer(BaseTrainer):
    def pretrain(self, agent, image_paths, audio_paths, base_config, pretrain_config, agent_dir, agent_experiment_dir):
        agent.clips = [sf.read(w)[0] for w in sorted({w for ws in audio_paths["test"] for w in ws})]; return {}
    def train_rl(self, agent, env_train, env_test, base_config, env_config, agent_config, pretrain_info, agent_dir, agent_experiment_dir):
        env = Speak(env_train, agent); obs, _ = env.reset(seed=agent_config["seed"])     # replace by a learner
        for _ in range(agent_config["steps"]):
            obs, r, term, trunc, info = env.step(env.action_space.sample())
            if term or trunc: obs, _ = env.reset()
""",
    "experiments/cafe.yaml": """\
base: {task_name: cafe, agent_name: kiosk01, device: cuda, dir_id: "1", sampling_rate: 22050}
pretrain:
  audio: {noise_num: 3, overwrite_audio_dataset: False, SNR: 30, model_name: kokoro, voice: af_heart}
  image: {train_images_per_folder: 4, test_images_per_folder: 2, overwrite_image_dataset: False, batch_size: 4, model_name: Mann-E_Turbo,
          model: {num_inference_steps: 10, guidance_scale: 8.0, height: 512, width: 512}}
rl:
  env: {device: cuda, num_images_per_item: 5, enable_audio_response: False, record_train_env: False, record_eval_env: True, llm_prompt_name: cafe.txt,
        generative_models: {LLM: {max_model_len: 1200, gpu_memory_utilization: 0.4, max_new_tokens: 150, temperature: 0.5},
                            image_generator: {num_inference_steps: 8, guidance_scale: 4, height: 512, width: 512}}}
  agent: {steps: 200, seed: 7}
""",
    "env/prompts/cafe.txt": """\
Play {role_description} and answer the guest in one short line.
All scenes:
{scene_information}
On the tray right now:
{available_items_text}
Moves you may make:
{transitions}
House rules:
{guidelines}
Answer with JSON only:
{{"response_text": "what you say", "next_scene_id": <number or null>, "next_scene_reason": <text or null>, "item_name": <one tray item or null>}}
""",
}


def write_project(root: Path) -> Path:
    """The project's root, with its files written below it."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
