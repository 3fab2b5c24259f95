# What a contributor types. The work itself is in tools/, in Python.
#
#   make test       every check that needs nothing but Python; the last line counts the tests
#   make demo       a shop of three servers behind the broker; DEMO= adds options
#   make test-all   make test, real programs, other Pythons, packaging
#   make bench      the broker beside HAProxy, nginx and stock Twisted, every row; BENCH= adds options
#   make bench-quick    the main rows in two minutes
#   make clean      remove what these made
#
# PYTHON=python3.12 chooses the interpreter. Paths are relative, so a checkout may have a space in its path.

PYTHON ?= python3
DEMO ?=
BENCH ?=

.PHONY: help test demo test-all bench bench-quick clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

test:
	@$(PYTHON) tools/environment.py --extra dev
	@.venv/bin/python -m tools.check

demo:
	@$(PYTHON) tools/environment.py --any-python
	@.venv/bin/python -m tools.demo $(DEMO)

test-all:
	@$(PYTHON) tools/environment.py --extra dev
	@.venv/bin/python -m tools.test_all

bench bench-quick:
	@$(PYTHON) tools/environment.py --venv .cache/venv-bench --extra bench
	@.cache/venv-bench/bin/python -m bench $(if $(filter bench-quick,$@),--quick) $(BENCH)

clean:
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
