"""A made corpus of one pair: four scenes of two turns, every second one with the markers on the man."""

from pathlib import Path

import pytest

from rapport.datasets.synthetic.layouts import iemocap
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak


@pytest.fixture(scope="session")
def made_iemocap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iemocap")
    request = Request(2, 4, seed=3)
    studio = Studio(espeak.load(), request.seed)
    for item in iemocap.plan(request):
        for path, data in iemocap.render(item, studio).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return folder
