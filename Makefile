# Everything here does its own set-up: a fresh machine needs Python >= 3.11, pip and make, and a second run starts in seconds.
#   make quickstart            everything at toy size on this computer, then a server that keeps running
#   make test ARGS="-k audio"  ARGS reaches the command that a target runs
#   make test PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
STORAGE ?= $(or $(RAPPORT_STORAGE),$(HOME)/rapport)

UV := .uv/bin/uv
PY := .venv/bin/python
SYNCED := .venv/.synced

export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Ray would otherwise wrap every worker in `uv run` when make itself was started by it.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.DEFAULT_GOAL := help
.PHONY: help quickstart emosds listener coe agent test faults rehearsal check audit serve bench setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(SYNCED) ## corpus -> prepare -> train -> evaluate -> serve on this computer; ARGS=--exit ends after the report
	@$(PY) -m rapport.ray_jobs.quickstart $(ARGS)

JOB := job() { echo "== $$*"; $(PY) -m rapport.ray_jobs."$$@" --storage "$(STORAGE)"; }

emosds: $(SYNCED) ## speech language model from nothing: corpora -> units -> three stages -> evaluation; STORAGE=folder for its outputs
	@set -e; $(JOB); \
	job make_corpus --config librispeech; \
	job make_corpus --config esd; \
	job prepare_corpus --config librispeech --corpus.root "$(STORAGE)/synthetic/librispeech"; \
	job prepare_corpus --config esd-made --corpus.root "$(STORAGE)/synthetic/esd"; \
	job fit_units --config embedded; \
	job extract_features --config embedded; \
	job build_emosds --config embedded --dialogues "$(STORAGE)/synthetic/esd/EmoSC_dialogues.jsonl"; \
	job train_emosds --config embedded; \
	job evaluate_emosds --models embedded --data embedded

listener: $(SYNCED) ## head motion from nothing: conversations -> turns -> models -> evaluation; STORAGE=folder for its outputs
	@set -e; $(JOB); \
	job make_corpus --config iemocap; \
	job prepare_corpus --config iemocap --corpus.root "$(STORAGE)/synthetic/iemocap"; \
	job build_listener --config embedded; \
	job train_listener --config embedded --name causal; \
	job train_listener --config lstm-linear --name fair; \
	job evaluate_listener --models causal,fair; \
	job train_listener --config embedded --name served --folds none

coe: $(SYNCED) ## emotions in conversations from nothing: conversations -> examples -> stages -> evaluation; STORAGE=folder for its outputs
	@set -e; $(JOB); \
	job make_conversations --config meld; \
	job build_coe --config made-meld; \
	job train_coe --config embedded; \
	job evaluate_coe

agent: $(SYNCED) ## an agent that learns to speak from nothing: data -> body -> dialogues -> evaluation; STORAGE=folder for its outputs
	@set -e; $(JOB); \
	job train_agent --config cafe --name cafe; \
	job evaluate_agent --model cafe

test: $(SYNCED) ## every test, on CPU, without network; ARGS="-k storage" picks some
	@$(PY) -m pytest $(ARGS)

faults: $(SYNCED) ## jobs and servers killed over and over, with figures: minutes
	@$(PY) -m pytest tests -m faults -s $(ARGS)

rehearsal: $(SYNCED) ## ray up, jobs, ray down on three hosts made on this computer: Linux, as root, minutes
	@$(PY) -m pytest tests/rehearsal -m rehearsal -s $(ARGS)

check: $(SYNCED) ## linter, formatter and type checker over the whole tree, and the audit where PyPI answers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy .typecheck/rapport tests $(wildcard benchmarks)
	@if $(PY) -c 'import httpx; httpx.get("https://pypi.org/pypi/pip/25.0/json", timeout=10).raise_for_status()' 2>/dev/null; \
	  then $(MAKE) --no-print-directory audit; else echo "not audited: PyPI's list of known holes does not answer here"; fi

audit: $(SYNCED) ## known holes in the locked packages; wants the network
	@$(UV) export --quiet --locked --all-extras --no-emit-project --no-annotate --output-file .venv/audited.txt
	@.venv/bin/pip-audit --strict --disable-pip --require-hashes --requirement .venv/audited.txt

serve: $(SYNCED) ## the newest trained models at http://127.0.0.1:8000; ARGS="--app ser --model FOLDER --port 8001"
	@$(PY) -m rapport.ray_jobs.serve_app $(ARGS)

bench: $(SYNCED) ## the benchmarks, one after the other, each printing its ratios
	@$(UV) sync --locked --quiet --compile-bytecode --group bench
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script $(ARGS) || exit 1; done

setup: $(SYNCED) ## only install what the other targets need

# Compiled once, here: where PYTHONDONTWRITEBYTECODE is set, as containers like to, every process would compile torch and ray again,
# ten seconds each.
$(SYNCED): pyproject.toml uv.lock $(UV)
	@echo "Installing the locked packages into .venv (the first time takes minutes, mostly PyTorch) ..."
	@[ -x $(PY) ] || $(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@$(UV) sync --locked --compile-bytecode
	@touch $@

# uv lives in a venv of its own, so that an externally managed system Python is no obstacle. Debian's python3 without python3-venv
# has no ensurepip: there the system's pip fills the venv from outside.
$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 to 3.13, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$$($(PYTHON) --version) is not usable: wanted 3.11 to 3.13. Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .uv >/dev/null 2>&1 || { rm -rf .uv && $(PYTHON) -m venv --without-pip .uv; } || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@if [ -x .uv/bin/pip ]; then .uv/bin/pip install --quiet 'uv>=0.9'; \
	  else $(PYTHON) -m pip --python .uv/bin/python install --quiet 'uv>=0.9'; fi || \
	  { echo "uv could not be installed. If $(PYTHON) has no pip: apt install python3-pip python3-venv. If the index is not reachable: set PIP_INDEX_URL and UV_DEFAULT_INDEX."; rm -rf .uv; exit 1; }
