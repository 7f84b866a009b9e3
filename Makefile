# `make demo`, `make test` and `make lint` work in a fresh clone: each creates or reuses .venv.
# Options: PYTHON=/path/to/python3.12 (for a new .venv), ARGS="..." (for demo and the tests).

VENV := .venv
PY := $(VENV)/bin/python
export PYTHON

.PHONY: demo test test-all lint docs install install-all ops doctor audit clean

demo: install
	$(PY) tools/demo.py $(ARGS)

# A process for each core with one thread each, and a file at a time for each process: its tests share fixtures.
PYTEST = OMP_NUM_THREADS=1 MPLBACKEND=Agg $(PY) -m pytest -q -n logical --dist loadfile --no-loadscope-reorder

# Without what is marked as slow: of each kind of thing that it tests, something else is tested here.
test: install-all
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: install-all
	$(PYTEST) $(ARGS)

lint: install-all
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# The site is then in docs/_build/html. A warning is an error.
docs: install-all
	$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html

# What trainings, evaluation and reports need.
install:
	@bash requirements/install.sh $(VENV) base

# With detection, mmselfsup, the tests' and the documentation's packages.
install-all:
	@bash requirements/install.sh $(VENV) all

# mmcv's compiled operations: a matter of minutes, needed by nothing here, faster in detection.
ops: install
	@bash requirements/ops.sh $(VENV)

doctor: install
	$(PY) -m clsa_mm

# What of .venv is not as the lock has it, or not as it was installed.
audit:
	$(PY) requirements/audit.py

# Leaves work_dirs alone: it holds results.
clean:
	rm -rf $(VENV) build dist docs/_build clsa_mm.egg-info .pytest_cache .ruff_cache
	find clsa_mm configs tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
