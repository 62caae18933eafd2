from typing import Any

import yaml
from huggingface_hub import ModelCard

from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.lineage import Lineage
from rapport.ray_jobs.reports.answers_card import answers_card
from rapport.ray_jobs.reports.model_card import training_data
from tests.ray_jobs.reports.test_answers import metrics as metrics


def written(metrics: dict[str, Any], base: str = "embedded", corpora: tuple[str, ...] = ("librispeech", "esd")) -> str:
    saved = {"model": EmosdsConfig(base=base).model_dump(mode="json"), "lineage": Lineage(stage=3).model_dump(mode="json")}
    training = {"epochs": 5, "seed": None}
    return answers_card("full", saved, metrics, trained_on=[training_data(name) for name in corpora], training=training)


def test_front_matter_is_what_the_hub_reads(metrics):
    card = written(metrics, "meta-llama/Llama-3.2-3B-Instruct")
    held: Any = ModelCard(card).data
    assert held.pipeline_tag == "audio-text-to-text"
    assert held.datasets == ["librispeech", "esd"]
    assert held.base_model == "meta-llama/Llama-3.2-3B-Instruct"
    assert {r.metric_type: r.metric_value for r in held.eval_results}["wer"] == 0.03
    assert "base_model" not in yaml.safe_load(written(metrics).split("---\n")[1])


def test_the_table_holds_figures_with_ranges_and_the_other_systems(metrics):
    lines = written(metrics).splitlines()
    assert "| WER | 3.0 % | 2.0 – 4.0 | 10.0 % |" in lines
    assert "| figure | full | 95 % | reader (cascade) |" in lines
    rows = [line for line in lines if line.startswith("| ") and line.count("|") > 3]
    assert {line.count("|") for line in rows} == {5}
    assert any(line.startswith("| User emotion told apart (both of 20 pairs) | 75.0 %") for line in rows)


def test_it_tells_use_limits_and_training(metrics):
    text = written(metrics)
    for part in ("## Intended use", "## Limits", "rest on 4 speakers", "| epochs | 5 |", "so <so>", "91.3 %"):
        assert part in text
    assert "seed" not in text
    assert "None" not in text
    assert "not recorded what this model was trained on" in written(metrics, corpora=())
