# make demo: the main job on the simulated challenge; make test: the tests; make test-oldest: the same with the oldest
# releases that setup.cfg allows.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oldest lint benchmark clean

demo: .venv/installed
	@if test -f runs/demo/report.html; then echo 'runs/demo/report.html is there; remove runs/demo to start anew'; \
	else $(BIN)/kcseg train --run runs/demo; fi

test: .venv/installed-dev
	$(BIN)/python -m pytest

test-oldest: .venv-oldest/installed-dev
	.venv-oldest/bin/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/serving.py

clean:
	rm -rf .venv .venv-oldest build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("kcseg needs Python 3.10 to 3.13, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if not (3, 10) <= sys.version_info[:2] <= (3, 13) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# pip compiles on one core alone
.venv/installed-dev: .venv/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	$(BIN)/python -m compileall -q --workers 0 .venv/lib || true
	touch .venv/installed $@

.venv-oldest/installed-dev: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	sed -n 's/^ *\([a-z0-9-]*\)\(\[[a-z]*\]\)\{0,1\}>=\([0-9.]*\)\(.*\)/\1==\3.*\4/p' setup.cfg > .venv-oldest/oldest.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/oldest.txt --editable '.[dev]'
	touch $@
