# The two commands are `make demo` and `make test`; `make help` lists all.

PYTHON ?= /usr/bin/python3
IMAGE ?=
PROFILE ?= default
TESTS ?= tests
VENV := build/venv
CODE := eoscale_engine eoscale_qgis scripts benchmarks examples tests
export PYTHON
export QT_QPA_PLATFORM := offscreen

.PHONY: help demo test lint format bench package install link clean system system-test
.DEFAULT_GOAL := help

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: system ## Try it: a sample scene, or a file too: make demo IMAGE=path.tif
	@$(PYTHON) scripts/demo.py $(if $(IMAGE),'$(IMAGE)')

test: $(VENV)/ready ## All tests; some: make test TESTS=tests/engine
	@$(VENV)/bin/python -m pytest $(TESTS)

lint: $(VENV)/ready ## Style, types, security, secrets, nothing left to do
	@$(VENV)/bin/ruff check $(wildcard $(CODE))
	@$(VENV)/bin/ruff format --check --diff $(wildcard $(CODE))
	@$(VENV)/bin/mypy
	@$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml eoscale_engine eoscale_qgis scripts
	@git ls-files -z --cached --others --exclude-standard | \
		xargs -0 $(VENV)/bin/detect-secrets-hook
	@! git grep --untracked -nIwE 'TODO|FIXME|XXX' -- ':!Makefile'

format: $(VENV)/ready ## Format the code, sort the imports
	@$(VENV)/bin/ruff check --fix --select I $(wildcard $(CODE))
	@$(VENV)/bin/ruff format $(wildcard $(CODE))

bench: $(VENV)/ready ## Speed and memory, into docs/benchmarks.md
	@$(VENV)/bin/python benchmarks/run.py --report docs/benchmarks.md

package: ## dist/eoscale_qgis-VERSION.zip for Install from ZIP
	@$(PYTHON) scripts/package.py

install: ## Into your QGIS profile: make install PROFILE=default
	@$(PYTHON) scripts/package.py --user --profile '$(PROFILE)'

link: ## The same as links to this folder, to develop with
	@$(PYTHON) scripts/package.py --user --profile '$(PROFILE)' --link

clean: ## Remove what these commands made here
	@rm -rf build dist .ruff_cache .mypy_cache .pytest_cache .hypothesis
	@find $(wildcard $(CODE)) -name __pycache__ -type d -prune -exec rm -rf {} +

system:
	@scripts/install_system.sh demo

system-test:
	@scripts/install_system.sh test

# The system's packages stay visible: QGIS, GDAL and NumPy come from there.
$(VENV)/ready: requirements-test.txt | system-test
	@$(PYTHON) -m venv --clear --system-site-packages $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@
