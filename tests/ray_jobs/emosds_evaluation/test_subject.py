import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.emosds.examples import find_examples
from rapport.datasets.emosds.splits import scenario_of
from rapport.ray_jobs.build_emosds import run as build
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.subject import choose_subject


def settings(toy_root: Path, **changes: object) -> EvaluateEmosdsConfig:
    return EvaluateEmosdsConfig.model_validate({"storage": str(toy_root), **changes})


def test_the_newest_model_answers_its_last_stage(toy_root):
    subject = choose_subject(settings(toy_root))
    assert [c.name for c in subject.contenders] == ["full"]
    assert subject.contenders[0].kind == "units and residuals"
    assert subject.stage == 3
    assert {e.split for e in subject.examples} == {"test"}
    assert len(subject.contenders[0].units) == 1


def test_models_are_compared_on_the_same_examples(toy_root):
    subject = choose_subject(settings(toy_root, models="full,units,text", **{"cascade": {"transcriber": "pocketsphinx"}}))
    assert [(c.name, c.kind) for c in subject.contenders] == [
        ("full", "units and residuals"),
        ("units", "units only"),
        ("text", "text oracle"),
        ("pocketsphinx+text", "cascade"),
    ]
    assert subject.contenders[3].model == subject.contenders[2].model
    assert subject.contenders[2].units == ()


def test_pairs_are_drawn_together(toy_root):
    everything = choose_subject(settings(toy_root)).examples
    subject = choose_subject(settings(toy_root, max_examples=5))
    pairs = Counter((scenario_of(e.dialogue_id or ""), e.speaker_id) for e in subject.examples)
    assert set(pairs.values()) == {2}
    assert len(subject.examples) == 4 < len(everything)
    assert subject.examples == choose_subject(settings(toy_root, max_examples=5)).examples
    assert subject.examples != choose_subject(settings(toy_root, max_examples=5, seed=1)).examples


def test_examples_come_longest_first_and_variants_one_after_the_other(toy_root):
    examples = choose_subject(settings(toy_root)).examples
    pairs = [(scenario_of(e.dialogue_id or ""), e.speaker_id) for e in examples]
    assert pairs[::2] == pairs[1::2]
    assert len(set(pairs)) == len(pairs) / 2
    lengths = [e.duration_s or 0 for e in examples]
    assert lengths == sorted(lengths, reverse=True)


def test_earlier_stages_can_be_asked_of_a_model(toy_root):
    assert choose_subject(settings(toy_root, stage="1", models="full")).stage == 1
    assert choose_subject(settings(toy_root, models="early")).stage == 1


def test_a_run_stands_for_the_model_of_its_stage(toy_root, tmp_path):
    home = tmp_path / "models" / "emosds"
    shutil.copytree(toy_root / "features", tmp_path / "features")
    for stage in (1, 2):
        shutil.copytree(toy_root / "models" / "emosds" / "units", home / f"mine-stage-{stage}")
        saved = json.loads((home / f"mine-stage-{stage}" / "config.json").read_text())
        saved["lineage"]["stage"] = stage
        (home / f"mine-stage-{stage}" / "config.json").write_text(json.dumps(saved))
    data = find_examples(str(toy_root), "default")
    assert choose_subject(settings(tmp_path, models="mine", data=data)).contenders[0].name == "mine-stage-2"
    assert choose_subject(settings(tmp_path, models="mine", data=data, stage="1")).contenders[0].name == "mine-stage-1"


def test_a_model_that_was_trained_on_another_build_is_warned_of(toy_root, tmp_path):
    data = find_examples(str(toy_root), "default")
    folder = shutil.copytree(toy_root / "models" / "emosds" / "units", tmp_path / "mine")
    saved = json.loads((folder / "config.json").read_text())

    def warnings(trained_on: dict[str, int]) -> tuple[str, ...]:
        (folder / "config.json").write_text(json.dumps({**saved, "lineage": {**saved["lineage"], "data": trained_on}}))
        return choose_subject(settings(toy_root, models=str(folder), stage="2")).warnings

    plain = warnings({})
    assert warnings({data: 3}) == plain
    assert warnings({"/gone/default/0a1b": 3})[len(plain) :] == (
        f"mine was trained on /gone/default/0a1b, which cannot be read here: whether it shares speakers with {data} is not known",
    )
    asked = {"storage": str(tmp_path), "asr": "", "emotional": str(toy_root / "corpora/esd" / ("0" * 12))}
    other = build(BuildEmosdsConfig.model_validate({**asked, "sides": {"split": {"method": "kfold", "fold": 1}}}))
    (warning,) = warnings({other["folder"]: 3})[len(plain) :]
    assert warning.startswith("mine was trained on 1 speakers")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"models": "early", "stage": "3"}, "trained up to stage 1"),
        ({"models": "absent"}, "does not exist"),
        ({"models": "full,full"}, "two models are called full"),
        ({"data": "absent"}, "build_emosds --name absent"),
        ({"models": "full", "cascade": {"transcriber": "pocketsphinx"}}, "wants a model that reads"),
        ({"models": "full", "cascade": {"transcriber": "pocketsphinx", "model": "units"}}, "wants a model that reads"),
    ],
)
def test_what_cannot_be_compared_is_told(toy_root, changes, complaint):
    with pytest.raises(RapportError, match=complaint):
        choose_subject(settings(toy_root, **changes))
