"""The HTTP interface of the simulator's services: what they are, how they are, and nothing that an environment would call."""

import asyncio
import time
from collections.abc import Mapping

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer

from rapport import __version__
from rapport.serve_apps.http.answers import Health
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.http.waiting import Recent, in_time
from rapport.serve_apps.simulator.answers import Facts, ServiceCard

_HEALTH_KEPT_S = 2.0
_DESCRIPTION = """
The counterpart of agents that learn to speak: a judge, ears, a voice and a maker of pictures, shared by environments in the cluster.

    curl -s http://127.0.0.1:8000/v1/models

tells the engine of each and how many of its calls the caches have spared. Environments do not come this way: they call the deployments
by their Serve handles (`rapport.ray_jobs.agent_services`).
"""


def build_api(services: Mapping[str, Facts], limits: RequestLimits, *, key_digest: str | None = None) -> FastAPI:
    """The app: models, health, pages, limits and errors. `key_digest` switches on bearer keys."""
    api = FastAPI(title="Rapport: simulator services", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)

    async def cards() -> list[ServiceCard]:
        facts = await in_time(asyncio.gather(*(find() for find in services.values())), limits.request_timeout_s)
        return [
            ServiceCard(id=kind, created=f.created, version=f.version, deterministic=f.deterministic, calls=f.calls)
            for kind, f in zip(services, facts, strict=True)
        ]

    async def look() -> Health:
        began_s = time.monotonic()
        await cards()
        return Health(model="simulator", latency_ms=round(1000 * (time.monotonic() - began_s), 2))

    guarded = APIRouter()
    add_models(guarded, ServiceCard, cards, known_as={}, tells="Its engine, and what its cache has spared.")
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, Recent(look, _HEALTH_KEPT_S))
    pages = add_pages(api, "simulator")
    protect(api, limits, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api
