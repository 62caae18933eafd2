"""The model card of a language model of emotions in conversations, in Hugging Face form: what it is for, how good it is, where it fails."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rapport.core.conversations import LABELS
from rapport.datasets.conversations.card import read_conversation_card
from rapport.models.erc.config import PromptConfig
from rapport.ray_jobs.reports.answers import figure_range, figure_value, with_none
from rapport.ray_jobs.reports.conversations import METHODS, columns, further, p_value, verdict
from rapport.ray_jobs.reports.page import render


def conversations_card(name: str, saved: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The README.md of a model folder.

    `saved` is its config.json, `metrics` the result of `evaluate_coe` whose first system it is.
    """
    about, facts, model = metrics["about"], saved.get("facts") or {}, saved["model"]
    systems = {each: metrics["systems"][each] for each in about["systems"]}
    system = systems[about["first"]]
    corpora = [_corpus(found) for found in facts.get("data") or ()]
    base = model["base"]
    front: dict[str, Any] = {
        "language": ["en"] if corpora and all(corpus["card"] for corpus in corpora) else None,
        "license": "other",
        "license_name": "see-training-data",
        # A hub id, which a path or URI is not.
        "base_model": base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else None,
        "library_name": "rapport",
        "pipeline_tag": "text-generation",
        "tags": ["emotion", "conversation", "emotion-recognition-in-conversations"],
        "datasets": [corpus["name"] for corpus in corpora],
        "metrics": ["f1", "accuracy"],
        "model-index": [{"name": name, "results": [_result(system, about)]}],
    }
    return render(
        "conversations_card.md",
        front=yaml.safe_dump({k: v for k, v in front.items() if v}, sort_keys=False, allow_unicode=True, width=120),
        name=name,
        model=model,
        about=about,
        system=system,
        systems=systems,
        figures=columns(systems),
        prompt=_prompt(facts),
        differences=metrics["differences"],
        verdict=verdict(metrics["differences"]),
        groups={each: group for each, group in metrics["groups"].items() if name in group["members"]},
        method=METHODS[about["method"]],
        by_label=with_none(system["confusion"], "invalid")["per_class"],
        tasks=[row for row in further(systems) if about["first"] in row["figures"]],
        validation=metrics["validation"],
        corpora=corpora,
        training=_training(facts, about),
        value=figure_value,
        range=figure_range,
        p_value=p_value,
    )


def _corpus(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the examples that a model was trained on: `name`, whether they were `made`, and the `card` of the corpus."""
    made, corpus = bool(found.get("made")), str(found.get("corpus"))
    card = read_conversation_card(corpus) if corpus in LABELS and not made else None
    return {"name": found.get("name") or corpus, "made": made, "card": card}


def _prompt(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of prompts in training that are not the defaults."""
    found: Mapping[str, Any] = next((data["prompt"] for data in facts.get("data") or () if data.get("prompt")), {})
    return PromptConfig.model_validate(found).model_dump(mode="json", exclude_defaults=True)


def _training(facts: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    after = facts.get("after") or {}
    found = {
        "strategy": facts.get("strategy"),
        "last stage": facts.get("stage"),
        "stage before it": after.get("stage"),
        "seed": facts.get("seed"),
        "code revision of the training": facts.get("revision"),
        "code revision of this evaluation": about["revision"],
    }
    return {title: value for title, value in found.items() if value is not None}


def _result(system: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    corpus = f"made-{about['corpus']}" if about["made"] else about["corpus"]
    kinds = (("weighted_f1", "f1", "weighted F1"), ("macro_f1", "f1", "macro-F1"), ("accuracy", "accuracy", "accuracy"))
    return {
        "task": {"type": "text-classification", "name": "Emotion recognition in conversations"},
        "dataset": {
            "name": f"{about['data_name']}{' (made)' if about['made'] else ''}",
            "type": re.sub(r"[^\w.-]+", "-", corpus),
            "split": about["side"],
        },
        "metrics": [{"type": kind, "value": round(system["figures"][key]["value"], 4), "name": title} for key, kind, title in kinds],
    }
