# make demo · make cohort-demo · make test · make one T=tests/genome · make coverage · make bench · make docs · make fuzz MINUTES=10 · make integrations · make dist
# Every target sets up a virtual environment of its own; Python (3.11-3.13) with its C headers, a C compiler and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
READY := $(VENV)/.counterbias-ready

.PHONY: demo cohort-demo loops test lint types contracts docs unit one coverage bench fuzz integrations generated dist clean

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[dev]'
	touch $@

# Compile the loops that have changed since the last time.
loops: $(READY)
	$(BIN)/python -m counterbias.loops.building

demo: loops
	$(BIN)/python -m counterbias.demo

# Six simulated samples through workflow/, to cohort-demo/.
cohort-demo: loops
	PATH="$(CURDIR)/$(BIN):$$PATH" workflow/demo cohort-demo

test: lint types contracts docs unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

unit: loops
	$(BIN)/python -m pytest -n 2 --dist loadscope

# One test, file or folder: make one T=tests/genome/test_windows.py, with any other words for pytest.
T ?= tests
one: loops
	$(BIN)/python -m pytest $(T)

# Which lines run in the tests' own processes; takes half as long again as `make unit`.
coverage: loops
	$(BIN)/python -m pytest -n 2 --dist loadscope --cov --cov-report term

bench: loops
	$(BIN)/python benchmarks/counting.py --pairs 2000000

# Changed inputs for every reader; what fails is kept in fuzz-failures/. SEED=2 gives other inputs.
MINUTES ?= 10
SEED ?= 1
fuzz: loops
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

# The recipes of integrations/, by their ecosystems' own tools, in virtual environments of their own.
integrations: loops
	PYTHON=$(abspath $(BIN)/python) integrations/check

# Completion scripts and manual pages, from the parsers of the command line.
generated: $(READY)
	$(BIN)/python -m tools.generate

# The source archive and the wheel, which is then checked where there is nothing else.
dist: $(READY)
	.ci/dist $(BIN)/python

clean:
	rm -rf $(VENV) demo site build dist .coverage
