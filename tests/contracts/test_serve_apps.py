"""What every app plug-in promises."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.serve.schema import HTTPOptionsSchema, LoggingConfig, ServeApplicationSchema, ServeDeploySchema

from rapport.core import plugins
from rapport.core.config import Config

APPS = plugins.available("serve_apps")
DEPLOY = Path(plugins.load("serve_apps", APPS[0]).__file__ or "").parent / "deploy"

# Runs in a fresh interpreter: nothing may be opened for writing, connected to, or computed on while an app is imported and built.
BUILD = """
import sys
opened = []
def watch(event, args):
    if event == "socket.connect" or (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")):
        opened.append((event, str(args[:2])))
from rapport.core import plugins
sys.addaudithook(watch)
app = plugins.load("serve_apps", sys.argv[1])
assert not {"ray", "torch", "fastapi"} & set(sys.modules), "importing an app imports its settings alone"
built = app.build_app(app.Args())
import ray
assert type(built).__name__ == "Application", built
assert not ray.is_initialized()
assert "torch" not in sys.modules, "the model is the replica's business"
seen = [o for o in opened if "__pycache__" not in o[1] and "/dev/null" not in o[1]]
assert not seen, seen
"""


@pytest.fixture(params=APPS)
def app(request):
    return plugins.load("serve_apps", request.param)


def test_there_is_the_speech_emotion_app() -> None:
    assert "ser" in APPS


def test_settings_are_configuration_whose_defaults_work(app) -> None:
    assert issubclass(app.Args, Config)
    app.Args()
    assert app.__doc__


@pytest.mark.parametrize("name", APPS)
def test_building_touches_no_network_disk_or_device(name: str, repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BUILD, name], cwd=repository, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_route_is_documented(app) -> None:
    document = app.interface(app.Args()).openapi()
    assert document["info"]["description"]
    assert "/v1/models" in document["paths"]
    assert "/healthz" in document["paths"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), (method, path)
            assert operation.get("description"), (method, path)
            assert "default" in operation["responses"], (method, path)


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("*.yaml")), ids=lambda file: file.stem)
def test_deploy_files_are_valid(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    ServeDeploySchema.model_validate(content)
    # Serve passes over keys that it does not know; here a misspelt one is an error.
    assert set(content) <= set(ServeDeploySchema.model_fields)
    assert set(content["http_options"]) <= set(HTTPOptionsSchema.model_fields)
    assert set(content.get("logging_config", {})) <= set(LoggingConfig.model_fields)
    assert content["http_options"]["host"] == "127.0.0.1", "opening a service to others is a decision of its own"
    for application in content["applications"]:
        assert set(application) <= set(ServeApplicationSchema.model_fields)
        room, _, name = application["import_path"].partition(":")[0].rpartition(".")
        assert room == "rapport.serve_apps"
        assert application["import_path"].endswith(":build_app")
        plugins.load("serve_apps", name).Args.model_validate(application["args"])


def test_every_app_has_a_deploy_file() -> None:
    assert {file.stem for file in DEPLOY.glob("*.yaml")} >= set(APPS)
