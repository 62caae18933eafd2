import subprocess

import pytest

from rapport import __version__
from rapport.ray_jobs import provenance


@pytest.fixture(autouse=True)
def forget():
    provenance.revision.cache_clear()
    yield
    provenance.revision.cache_clear()


def test_revision_is_that_of_the_repository(monkeypatch, repository):
    if not (repository / ".git").exists():
        pytest.skip("not a clone")
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert head.startswith(provenance.revision().removesuffix("-dirty"))


def test_without_a_repository_the_environment_or_the_version_tells(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("RAPPORT_REVISION", "cafe42")
    assert provenance.revision() == "cafe42"
    provenance.revision.cache_clear()
    monkeypatch.delenv("RAPPORT_REVISION")
    assert provenance.revision() == __version__
