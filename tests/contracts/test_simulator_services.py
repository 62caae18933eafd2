"""How every judge and every maker of pictures is found and loaded; what they answer is in test_judges.py and test_pictures.py."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from rapport.core import plugins
from rapport.models.spolacq.services_config import ServicesConfig

JUDGES, PICTURES = "models.backends.judge", "models.backends.image"
BACKENDS = [(room, name) for room in (JUDGES, PICTURES) for name in plugins.available(room)]
IMPORT = """
import sys
from rapport.core import plugins
plugins.load(*sys.argv[1:])
assert not {"openai", "diffusers", "ray"} & set(sys.modules), "an extra is imported when it is used"
"""


@pytest.mark.parametrize(("room", "name"), BACKENDS)
def test_a_back_end_is_told_and_loaded_by_its_name(room: str, name: str) -> None:
    module = plugins.load(room, name)
    assert module.__doc__
    assert "Raises RapportError" in (module.load.__doc__ or "") or not inspect.signature(module.load).parameters
    field = ServicesConfig.model_fields["judge" if room == JUDGES else "pictures"]
    assert f"`{name}" in (field.description or ""), "the setting tells which there are"


@pytest.mark.parametrize(("room", "name"), BACKENDS)
def test_importing_one_imports_no_extra(room: str, name: str, repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT, room, name], cwd=repository, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
