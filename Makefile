# Each target works as the first command in a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat pyproject.toml converter/pyproject.toml device/pyproject.toml constraints/host.txt | sha256sum | cut -c1-16)

# What `make test` runs: files or folders.
TESTS := tests

# In tests/conftest.py's order: what takes longest first.
PYTEST := pytest $(TESTS) --ignore=tests/benchmarks --ignore=tests/arm64 -n 2 --dist loadfile --no-loadscope-reorder --durations=15

# Tests start hundreds of processes; without bytecode each compiles our sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage dev check campaign benchmark training compression wheels test-arm64 test-debian13 \
  test-repeat device wheelhouse clean

demo: $(READY)  ## train, convert, verify, pack and stream handwritten digits
	$(BIN)/edge-sdk demo

test: $(READY)  ## every test, with seeded samples of the long campaigns; says what it skipped
	$(BIN)/$(PYTEST)

coverage: $(READY)  ## the same, and the lines that no test runs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --fail-under=90

dev: $(READY)  ## the environment alone
	@echo "activate it with: . $(BIN)/activate"

check: $(READY)  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

campaign: $(READY)  ## the full counts, into docs/campaigns.json; ONLY=EXPRESSION for some of them
	$(BIN)/python tests/campaigns/run.py "$(ONLY)"

benchmark: $(READY)  ## regenerates docs/performance.md (a quarter of an hour); makes .venv-peers for others to compare with
	$(BIN)/python tests/benchmarks/run.py

training: $(READY)  ## regenerates docs/training.md: every recipe, several seeds (hours)
	$(BIN)/python tests/benchmarks/training.py

compression: $(READY)  ## regenerates docs/compression.md: every method, several seeds (hours)
	$(BIN)/python tests/benchmarks/compression.py

wheels: $(READY)  ## the three wheels, into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist . ./converter ./device

test-arm64: $(READY)  ## the device's tests in arm64 Debian roots, under qemu (root; a loud skip elsewhere)
	$(BIN)/python tests/arm64/run.py

test-debian13: $(READY)  ## make demo and the tests on Debian 13 with its Python (root; a loud skip elsewhere)
	$(BIN)/python tests/debian13/run.py

test-repeat: $(READY)  ## tests that start processes or threads, 30 times on busy cores (hours; goes on where it was ended); FILES=…
	$(BIN)/python scripts/repeat_tests.py $(FILES)

device:  ## on a Raspberry Pi: .venv-device with core and device, beside the system's picamera2
	PYTHON=$(PYTHON) sh scripts/device.sh

wheelhouse: $(READY)  ## OS=bookworm|trixie: all wheels that such a Pi needs, into dist/wheelhouse-$(OS)
	$(BIN)/python scripts/wheelhouse.py "$(OS)" "dist/wheelhouse-$(OS)"

clean:  ## takes away what the other targets made
	rm -rf $(VENV) .venv-device .venv-peers dist edge-sdk-demo .training .compression .coverage* .test-repeats*

$(READY):
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11, or has no venv"; \
	    echo "fix: apt install python3-venv, or name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
	    exit 1; } >&2
	@echo "Preparing $(VENV) (once; TensorFlow is large, this takes a few minutes) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints/host.txt --editable '.[test,check]' \
	  --editable './converter[digits]' --editable './device[video]'
	@rm -f $(VENV)/.ready-* && touch $@
