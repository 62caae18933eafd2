# Rapport with the packages of uv.lock, for a Ray cluster on Kubernetes (clusters/kuberay/) or anywhere else that runs containers.
#
#   docker build -t REGISTRY/rapport:cpu --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
#   docker build -t REGISTRY/rapport:gpu --build-arg DEVICE=gpu --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
#
# The lock file knows one PyTorch, the one with CUDA libraries: the cpu image has them too and trains on a GPU whose driver the container
# sees. What the gpu image adds is NVIDIA's compiler, with which DeepSpeed builds its fused optimisers when they are first used.
ARG DEVICE=cpu

FROM python:3.12-slim-bookworm AS cpu

FROM nvidia/cuda:13.0.2-devel-ubuntu24.04 AS gpu
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3.12 python3.12-dev g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*

FROM ${DEVICE}
# KubeRay asks with wget whether a pod is well. Voices, ears and audio formats come inside their Python packages.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates procps wget \
 && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv

# Not 1000, which the gpu base has given to a user already. /storage and /models are there to be mounted over.
RUN useradd --create-home --uid 10001 --shell /bin/bash rapport \
 && mkdir -p /rapport /storage /models && chown rapport:rapport /rapport /storage /models
USER rapport
WORKDIR /rapport
ENV UV_PROJECT_ENVIRONMENT=/home/rapport/environment \
    UV_PYTHON_PREFERENCE=only-system \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
# The packages are a layer of their own: it changes with the lock file alone.
COPY --chown=rapport:rapport pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/home/rapport/.cache/uv,uid=10001 \
    uv sync --locked --no-install-project --no-default-groups --extra s3 --extra openai --python 3.12

COPY --chown=rapport:rapport README.md LICENSE ./
COPY --chown=rapport:rapport rapport rapport
COPY --chown=rapport:rapport datasets datasets
COPY --chown=rapport:rapport models models
COPY --chown=rapport:rapport serve_apps serve_apps
COPY --chown=rapport:rapport tune_spaces tune_spaces
COPY --chown=rapport:rapport ray_jobs ray_jobs

ARG REVISION=unknown
# PYTHONPATH: the rooms are used from their checkout, where a job's --working-dir can replace them.
ENV PATH=/home/rapport/environment/bin:$PATH \
    PYTHONPATH=/rapport \
    RAY_AUTH_MODE=token \
    RAPPORT_REVISION=${REVISION} \
    RAPPORT_STORAGE=/storage \
    HF_HOME=/models
CMD ["python", "-m", "rapport.ray_jobs.doctor"]
