# What a contributor types. The work itself is in tools/, in Python.
#
#   make test       every check that needs nothing but Python; the last line counts the tests
#   make demo       a shop of three servers behind the broker; DEMO= adds options
#   make test-all   make test, real programs, other Pythons, packaging
#   make clean      remove what these made
#
# PYTHON=python3.12 chooses the interpreter. Paths are relative, so a checkout may have a space in its path.

PYTHON ?= python3
DEMO ?=

.PHONY: help test demo test-all clean

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

clean:
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
