from pathlib import Path

import pytest

from rapport.ray_jobs.build_emosds import run as build
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from tests.toy_emosds import write_model, write_toy, write_units


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with examples, units and random models of every kind, `full` the newest."""
    folder = tmp_path_factory.mktemp("emosds")
    dialogues = write_toy(folder, sentences=60)
    write_units(folder)
    build(BuildEmosdsConfig(storage=str(folder), dialogues=str(dialogues)))
    for name, inputs, stage in (("text", "text", 3), ("early", "units", 1), ("units", "units", 3), ("full", "units+residuals", 3)):
        write_model(folder / "models" / "emosds" / name, inputs=inputs, stage=stage)
    return folder
