# What a contributor types. The work itself is in tools/, in Python.
#
#   make test       every check that needs nothing but Python; the last line counts the tests
#   make demo       a shop of three servers behind the broker; DEMO= adds options
#   make test-all   make test, Twisted's own tests, real programs, other Pythons, packaging
#   make bench      the broker beside HAProxy, nginx and stock Twisted, every row, for the documents; BENCH= is other options
#   make bench-quick    the main rows in two minutes
#   make bench-offload  what clients and a server gain when the broker does the TLS
#   make bench-faults   servers are killed, stopped and broken while clients compare hashes, beside HAProxy and nginx
#   make bench-priorities  who is served first when servers have too much to do, beside HAProxy and nginx
#   make clean      remove what these made
#
# PYTHON=python3.12 chooses the interpreter; without it the benches take an optimized build, where there is one. Paths are relative, so a checkout may have a space in its path.

PYTHON ?= python3
DEMO ?=
BENCH ?=

.PHONY: help test demo test-all bench bench-quick bench-offload bench-faults bench-priorities clean

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

bench bench-quick bench-offload bench-faults bench-priorities:
	@python="$$($(BENCH_PYTHON))" && "$$python" tools/environment.py --venv .cache/venv-bench --extra bench
	@.cache/venv-bench/bin/python -m $(BENCH_$@)

# The file itself said which: nobody has named one.
BENCH_PYTHON = $(if $(filter file,$(origin PYTHON)),$(PYTHON) -m tools.optimized,echo "$(PYTHON)")

BENCH_bench = bench $(or $(BENCH),--publish)
BENCH_bench-quick = bench --quick $(BENCH)
BENCH_bench-offload = bench.offload $(or $(BENCH),--publish)
BENCH_bench-faults = bench.faults $(or $(BENCH),--publish)
BENCH_bench-priorities = bench.priorities $(or $(BENCH),--publish)

clean:
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
