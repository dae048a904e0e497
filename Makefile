# Everything runs from a bare machine with Python and pip: each target first makes the environment it needs.

PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
READY    := $(VENV)/.ready
VERSIONS := 3.10 3.11 3.12 3.13

# Other releases of the libraries that sources tap.
RELEASES      := tests/constraints
RELEASE_TESTS := tests/sources tests/test_doctor.py tests/scenarios/test_matrix.py tests/scenarios/test_live_django.py

CORE     ?=
# Half of the time a test waits for a server, a thread or a process of its own.
WORKERS  ?= 2
CORE_TESTS := tests/test_core.py tests/test_measure.py tests/test_block.py tests/test_rolling.py tests/test_forks.py tests/properties

.DEFAULT_GOAL := help
.PHONY: help demo test test-cores test-lowest test-latest test-long test-all lint format check bench clean $(VERSIONS:%=test-%)

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(READY) ## start the example shop, send it traffic, show what the log says
	@$(BIN)/python examples/demo.py

test: $(READY) ## run the suite; CORE=python or CORE=c chooses what measures
	MANOMETER_CORE=$(CORE) $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-cores: $(READY) ## run what depends on the core with the one in pure Python, where `make test` takes the compiled one
	MANOMETER_CORE=python $(BIN)/python -m pytest -n $(WORKERS) $(CORE_TESTS) $(ARGS)

test-lowest: .venvs/lowest/.ready ## run the tests of sources with the oldest supported release of each library
	.venvs/lowest/bin/python -m pytest -W default $(RELEASE_TESTS) $(ARGS)

test-latest: .venvs/latest/.ready ## run them with the newest release of everything, whatever it needs beside it
	.venvs/latest/bin/python -m pytest -W default tests/scenarios/test_matrix.py tests/sources/test_otel.py tests/sources/test_registry.py tests/test_doctor.py $(ARGS)

test-long: $(READY) ## run the tests that take minutes
	$(BIN)/python -m pytest -m long --timeout=900 --hypothesis-profile=search $(ARGS)
	$(BIN)/python -m pytest tests/test_statement.py tests/exporters tests/properties --hypothesis-profile=search $(ARGS)

test-all: $(VERSIONS:%=test-%) ## run the suite on every supported Python found here

lint: $(READY) ## check format, rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src

format: $(READY) ## format, and fix what can be fixed
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

check: lint test demo ## all that CI runs

bench: .venvs/bench/.ready ## measure the cost of a measured call beside its peers, and hold it to its budgets
	.venvs/bench/bin/python -m benchmarks --picture docs/explanation/overhead.svg $(ARGS)

.venvs/bench/.ready: pyproject.toml setup.py src/manometer/_core.c src/manometer/_tapcore.c
	@mkdir -p .venvs
	$(call make-venv,$(PYTHON),.venvs/bench,bench)

clean: ## remove environments, caches and builds
	rm -rf .venv .venvs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One with releases of its own: the extras of this project have other bounds.
define make-bare-venv
	@mkdir -p .venvs
	@$(1) -m venv $(2) 2>/dev/null \
	  || { $(1) -m venv --clear --without-pip $(2) && $(1) -m pip --python $(2)/bin/python install --quiet pip; }
	@echo "setting up $(2) ..."
	@$(2)/bin/python -m pip install --quiet --disable-pip-version-check $(3)
	@MANOMETER_NO_EXT=1 $(2)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(2)/.ready
endef

# A Python without ensurepip (Debian without python3-venv) still has its own pip, which can fill an environment.
define make-venv
	@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "$(1) is older than Python 3.10; name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(1) -m venv $(2) 2>/dev/null \
	  || { $(1) -m venv --clear --without-pip $(2) && $(1) -m pip --python $(2)/bin/python install --quiet pip; }
	@echo "setting up $(2) (once, and when pyproject.toml changes) ..."
	@$(2)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(3)]'
	@$(2)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[compiled]' >/dev/null 2>&1 \
	  || echo "mysqlclient could not be built here: its tests will be skipped"
	@touch $(2)/.ready
endef

$(READY): pyproject.toml setup.py src/manometer/_core.c src/manometer/_tapcore.c
	$(call make-venv,$(PYTHON),$(VENV),dev)

# A pyenv shim exists for versions that are not active, so a candidate counts only when it runs.
define find-python
for candidate in python$(1) $$(ls -d "$${PYENV_ROOT:-$$(pyenv root 2>/dev/null)}"/versions/$(1).*/bin/python 2>/dev/null); do \
  if "$$candidate" -c '' 2>/dev/null; then echo "$$candidate"; break; fi; \
done
endef

$(VERSIONS:%=test-%): test-%:
	@python="$$($(call find-python,$*))"; \
	if [ -z "$$python" ]; then echo "Python $*: not found here, skipped"; exit 0; fi; \
	$(MAKE) --no-print-directory .venvs/$*/.ready PYTHON="$$python" \
	  && echo "Python $*:" && MANOMETER_CORE=$(CORE) .venvs/$*/bin/python -m pytest $(ARGS)

.venvs/lowest/.ready: pyproject.toml setup.py $(RELEASES)/lowest.txt
	$(call make-bare-venv,$(PYTHON),.venvs/lowest,-r $(RELEASES)/lowest.txt -r $(RELEASES)/tools.txt)

.venvs/latest/.ready: pyproject.toml setup.py $(RELEASES)/latest.txt
	$(call make-bare-venv,$(PYTHON),.venvs/latest,--upgrade -r $(RELEASES)/latest.txt -r $(RELEASES)/tools.txt)

.venvs/%/.ready: pyproject.toml setup.py src/manometer/_core.c src/manometer/_tapcore.c
	@mkdir -p .venvs
	$(call make-venv,$(PYTHON),.venvs/$*,test)
