"""Serve an app on this computer, or on the cluster that this job was submitted to.

    python -m rapport.ray_jobs.serve_app                                       # the companion, with the newest models that there are
    python -m rapport.ray_jobs.serve_app --app ser --model ~/rapport/models/ser/NAME --port 8001
    python -m rapport.ray_jobs.serve_app --app head_motion                     # one app alone: ser, sds, head_motion, erc
    python -m rapport.ray_jobs.serve_app --app ser --help                      # the settings of that app
    ray job submit --working-dir . -- python -m rapport.ray_jobs.serve_app --detach --model s3://bucket/rapport/models/ser/NAME

Without --app, the companion is served where a dialogue model was trained, and speech emotion alone otherwise.
Listens on 127.0.0.1:8000 until Ctrl-C. Set RAPPORT_API_KEY to ask clients for a key; other computers are answered with a key alone.
"""

import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any, Literal

from pydantic import Field, create_model

from rapport.core import plugins
from rapport.core.config import Config, JobConfig
from rapport.core.errors import RapportError
from rapport.ray_jobs.runtime import job, start_ray

_STARTS_WITHIN_S = 300.0
# Apps answer 503 long before; this catches what hangs outside of them.
_REQUEST_TIMEOUT_S = 120.0


class ServeAppConfig(JobConfig):
    """Where to serve; an app's own settings come on top."""

    app: str = ""
    """Which app: a file in serve_apps; unless given, the companion where there is a dialogue model, and ser otherwise."""
    host: str = "127.0.0.1"
    """Address to listen on. Others than loopback want RAPPORT_API_KEY."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    detach: bool = False
    """On a cluster: leave the app running there and end this job."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """What Serve and its replicas tell; INFO has a line for every request."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running app."""

    name: str
    url: str


def deploy(app: str, args: Config, *, host: str = "127.0.0.1", port: int = 8000, log_level: str = "WARNING") -> Served:
    """Start an app on the Ray that this process belongs to, and return once it answers its own health check.

    Raises RapportError when others could reach it without a key, when the port is taken, or when the app does not come up.
    """
    from ray import serve

    from rapport.serve_apps.http.auth import check_bind, is_loopback

    check_bind(host)
    check_port(host, port)
    module = plugins.load("serve_apps", app)
    logging.getLogger("ray.serve").setLevel(log_level)
    log = {"log_level": log_level}
    # Serve counts the whole life of a WebSocket against this.
    timeout_s = None if getattr(module, "STREAMS", False) else _REQUEST_TIMEOUT_S
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port, "request_timeout_s": timeout_s}, logging_config=log)
    try:
        serve.run(module.build_app(args), name=app, route_prefix="/", logging_config=log)
    except RuntimeError as error:
        raise RapportError(f"{app} did not start: {_cause(app) or error}") from error
    url = f"http://{host if is_loopback(host) else '127.0.0.1'}:{port}"
    _wait_until_healthy(url)
    return Served(app, url)


def run(config: ServeAppConfig) -> dict[str, Any]:
    """Serve until asked to stop."""
    from rapport.serve_apps.http.auth import check_bind

    check_bind(config.host)
    module = plugins.load("serve_apps", config.app)
    args = module.Args.model_validate(config.model_dump(include=set(module.Args.model_fields)))
    if hasattr(module, "check_args"):
        args = module.check_args(args, config.storage)
    # Replicas reserve fractions of CPUs; two logical ones hold an app, on a computer with one core as well.
    with start_ray(num_cpus=None if os.environ.get("RAY_ADDRESS") else max(2, os.cpu_count() or 1)):
        served = deploy(config.app, args, host=config.host, port=config.port, log_level=config.log_level)
        print(f"{served.name} answers at {served.url} (the page), {served.url}/docs (the interface)", file=sys.stderr, flush=True)
        if not config.detach:
            print("Ctrl-C stops it", file=sys.stderr, flush=True)
            _wait_for_signal()
            from ray import serve

            serve.delete(served.name)
    return {"app": served.name, "url": served.url}


def config_kind(app: str) -> type[ServeAppConfig]:
    """The settings of serving one app: where to serve, and what the app takes."""
    module: ModuleType = plugins.load("serve_apps", app)
    own: Any = (str, Field(default=app, description=ServeAppConfig.model_fields["app"].description))
    return create_model(f"Serve{app.capitalize()}Config", __base__=(ServeAppConfig, module.Args), __doc__=ServeAppConfig.__doc__, app=own)


def chosen_app(argv: list[str]) -> str:
    """The app that a command line means: it must be known before its flags can be read."""
    named = _flag(argv, "--app")
    if named is not None:
        return named
    # One model is what the apps of one model take, of which speech emotion is the first.
    return "ser" if _flag(argv, "--model") is not None or not _talks(_flag(argv, "--storage")) else "companion"


def _flag(argv: list[str], name: str) -> str | None:
    """What a command line gives for a flag."""
    for flag, value in pairwise([*argv, ""]):
        if flag == name:
            return value
        if flag.startswith(f"{name}="):
            return flag.removeprefix(f"{name}=")
    return None


def _talks(storage: str | None) -> bool:
    """Whether a dialogue model was trained."""
    from rapport.models.find import find_model

    try:
        find_model("", "emosds", storage)
    except RapportError:
        return False
    return True


def check_port(host: str, port: int) -> None:
    """Nothing, if the port is free. Raises RapportError otherwise."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RapportError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error


def last_error(told: str) -> str:
    """The message of the last error in a text that may hold stack traces; without any, the text."""
    errors = list(re.finditer(r"^(?:\w+\.)*\w*(?:Error|Exception): ", told, re.MULTILINE))
    return told[errors[-1].end() :].strip()[:2000] if errors else told.strip()[:2000]


def _cause(app: str) -> str:
    """What the first replica that failed died of."""
    from ray import serve

    status = serve.status().applications.get(app)
    return last_error("\n".join(deployment.message for deployment in status.deployments.values())) if status else ""


def _wait_until_healthy(url: str) -> None:
    import httpx

    end_s = time.monotonic() + _STARTS_WITHIN_S
    problem = ""
    while time.monotonic() < end_s:
        try:
            response = httpx.get(f"{url}/healthz", timeout=30)
        except httpx.TransportError as error:
            problem = str(error)
        else:
            if response.is_success:
                return
            problem = response.text[:500]
        time.sleep(0.2)
    raise RapportError(f"{url}/healthz did not answer within {_STARTS_WITHIN_S:g} s: {problem}")


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    job(config_kind(chosen_app(sys.argv[1:])), run)
