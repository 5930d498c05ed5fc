# Every command people and CI run. Plain `make` lists them.

EVENTS  ?= postgres
SERVICE ?= all
WORKERS ?= 2
STAGE   ?=
INPUTS  ?= 100000
ARGS    ?=

# The first Python that is new enough; `make PYTHON=/path/to/python3` names another.
PYTHON ?= $(shell for python in python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

# Always the interpreter of .venv and its modules, so that a checkout is not installed and may be moved.
PY      := .venv/bin/python
EARSHOT := $(PY) -m deploy.cli
PIP     := $(PY) -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes

# Where the environment says that no compiled modules are kept, every process would compile all of them (3 s).
unexport PYTHONDONTWRITEBYTECODE

# Files named after the checksum of a lock say what is installed in .venv: a changed lock has another name.
checksum = $(shell cksum < $(1) | tr ' ' '-')
RUNTIME := .venv/runtime-$(call checksum,requirements.lock)
DEV     := .venv/dev-$(call checksum,requirements-dev.lock)

# A .venv whose interpreter is missing (after an upgrade of Python) is created again.
ifneq ($(shell $(PY) -c 'print("works")' 2>/dev/null),works)
.PHONY: $(PY) $(RUNTIME) $(DEV)
endif

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

## Using it

.PHONY: demo run replay doctor
demo: $(RUNTIME) ## a sample shop on which weeks pass in a minute, at http://127.0.0.1:8000 (EVENTS=postgres|kafka)
	$(EARSHOT) demo --events $(EVENTS) $(ARGS)

run: $(RUNTIME) ## the services on this machine, at http://127.0.0.1:8000 (SERVICE=all|trigger|dispatcher|scoring)
	$(EARSHOT) run $(SERVICE) $(ARGS)

replay: $(DEV) ## a recorded year of purchases through the whole system
	$(EARSHOT) replay $(ARGS)

doctor: $(RUNTIME) ## what is missing or set wrong here, and how to repair it
	$(EARSHOT) doctor $(ARGS)

## Changing it

.PHONY: test pythons check lint format schemas messages chaos bench fuzz mutants lock sbom advisories images clean
test: $(DEV) ## all tests; ends with what was skipped and why (WORKERS=2, ARGS="-k name")
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

pythons: $(DEV) ## unit tests and the demo with each newer Python that is here, each in an environment of its own
	@for python in python3.12 python3.13 "$$HOME"/.pyenv/versions/3.1[23].*/bin/python3; do \
		version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
		[ ! -e "build/python$$version/passed" ] || continue; \
		echo "Python $$version"; \
		"$$python" -m venv --clear --without-pip "build/python$$version" && own="build/python$$version/bin/python" \
		&& { $(PY) -m uv pip install --quiet --python "$$own" --require-hashes -r requirements-dev.lock \
			|| $(PY) -m pip --python "$$own" install --quiet --no-compile --require-hashes -r requirements-dev.lock; } \
		&& "$$own" -m pytest --quiet -n $(WORKERS) --dist loadgroup tests/unit tests/journey/test_demo.py -k "unit or moves_the_score" \
		&& touch "build/python$$version/passed" || exit 1; \
	done; rm -f build/python*/passed

check: lint ## everything CI checks before the tests: lint, locks, advisories, schemas, catalogues, migrations
	$(PY) -m pytest --quiet -k lock tests/unit/test_repository.py
	$(PY) -m deploy.supply.advisories
	$(EARSHOT) schemas --check
	$(PY) -m deploy.messages --check
	$(EARSHOT) migrate --check

lint: $(DEV) ## format, ruff, mypy, import rules, Dockerfile and compose file; changes nothing
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) .venv/bin/lint-imports
	.venv/bin/hadolint deploy/Dockerfile
	$(PY) -m check_jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

format: $(DEV) ## rewrite the code in the house format, repairing what ruff can
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

messages: $(DEV) ## bring the catalogues of translations up to date with the code (ARGS=de adds a language)
	$(PY) -m deploy.messages $(ARGS)

schemas: $(DEV) ## write the JSON Schemas of all events to docs/events/
	$(EARSHOT) schemas

chaos: $(DEV) ## kill processes and cut connections during surveys, then count (ARGS="--invitations 2000 --kills 10")
	$(PY) -m tests.chaos $(ARGS)

bench: $(DEV) ## measure throughput (STAGE=trigger|timers|sending|answers|relay, all by default, or bytes or desk)
	$(PY) -m tests.bench $(STAGE) $(ARGS)

fuzz: $(DEV) ## malformed requests, events, mails and files to every input of a running Earshot (INPUTS=100000, ARGS="--seed 7")
	$(PY) -m tests.fuzz --inputs $(INPUTS) $(ARGS)

mutants: $(DEV) ## change the code of changed files, one place at a time, and list what no test notices (ARGS="--base main")
	$(PY) -m tests.mutants $(ARGS)

COMPILE = $(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate $(ARGS)
# Packages with extras come first: pip before 25 resolves name[extra] apart from name, and a package that is read earlier
# and asks for the bare name would get the newest version, for which the lock has no hash.
EXTRAS_FIRST = awk '/^[^ ]/ { first = /^[^=]*\[/ } first { print; next } { rest = rest $$0 ORS } END { printf "%s", rest }'

lock: $(DEV) ## recompile the locks after a change of pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) -o requirements.lock > /dev/null
	$(COMPILE) --group dev --constraints requirements.lock -o requirements-dev.lock > /dev/null
	$(COMPILE) --all-extras -o requirements-extras.lock > /dev/null
	for lock in requirements*.lock; do $(EXTRAS_FIRST) $$lock > $$lock.new && mv $$lock.new $$lock; done

sbom: $(DEV) ## write what the image is made of to build/sbom.json (CycloneDX)
	$(PY) -m deploy.supply.sbom

advisories: $(DEV) ## ask about security advisories of all locked packages and save them (ARGS="--vulnerability-service osv")
	$(PY) -m deploy.supply.advisories refresh $(ARGS)

images: $(DEV) ## write the digests of the images into Dockerfile and compose file (REGISTRY=https://…)
	$(PY) -m deploy.supply.images $(REGISTRY)

clean: ## remove .venv and everything generated; collected surveys (.data) stay
	rm -rf .venv build .coverage .hypothesis .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	find deploy services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

## The environment

python-problem = $(shell \
	test -n "$(PYTHON)" || { echo "No Python 3.11 or newer here: apt-get install python3.11 python3.11-venv, or make PYTHON=/path/to/python3"; exit; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "$(PYTHON) is not Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit; }; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make a virtual environment: apt-get install python3.11-venv (or python3-venv)"; })

$(PY):
	$(if $(python-problem),$(error $(python-problem)))
	@"$(PYTHON)" -m venv --clear .venv

$(RUNTIME): | $(PY)
	@echo "Installing what Earshot needs into .venv (once per lock) ..."
	@$(PIP) -r requirements.lock
	@rm -f .venv/runtime-* && touch $@

$(DEV): | $(PY)
	@echo "Installing the development tools into .venv (once per lock) ..."
	@$(PIP) -r requirements-dev.lock
	@rm -f .venv/runtime-* .venv/dev-* && touch $(RUNTIME) $@
