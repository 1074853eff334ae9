# coldframe, from nothing to running: every target sets up what it needs, and nothing else has to be typed before.

PYTHON ?=
export PYTHON
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check-long lint clean environment environment-test browser

help:  ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*  ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: environment  ## train a small model on the embedded corpus for 8 to 12 minutes, with the explorer open
	@$(BIN)/coldframe train --run demo --recipe recipes/tiny-cpu.toml --explore

test: environment-test browser  ## the test suite, a headless browser included (2 cores, no GPU, a few minutes)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check-long: environment-test browser  ## the long campaigns: many kills, soaks
	@$(BIN)/python -m pytest -m long

lint: environment-test  ## style, types and import order alone
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest -q tests/test_architecture.py

clean:  ## remove the environment, caches and built archives; runs/ stays
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache coldframe/explore/static/vendor
	find coldframe tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@sh setup/environment.sh core

environment-test:
	@sh setup/environment.sh test

browser: environment-test
	@sh setup/browser.sh
