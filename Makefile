# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
TRAIN := $(VENV)/.train

RIGS ?=
MODES ?=
JOBS ?= 1
PARTS ?= 100000
PROTOCOLS ?= opcua

.PHONY: demo test check bench bench-status hil soak cameras hostile real train-bars model node-client tlsimu docs clean

demo: $(RUNTIME)  ## 300 parts at 120 parts/min through PLC, station and status server
	$(BIN)/linegate demo --parts 300 --rate 120 --seed 1

# What the status server imports is made before, wherever its code has changed: else every station in the tests would.
test: $(DEV)  ## every test that takes seconds
	$(BIN)/linegate prepare
	$(PY) -m tests

check: $(TRAIN)  ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/linegate prepare
	$(PY) -m tests

bench: $(DEV)  ## ratios against bare loops, side by side in one run
	$(PY) -m tests.bench

bench-status: $(DEV)  ## how soon the status server answers after a start, and how soon a result is at a client
	$(PY) -m tests.bench.start
	$(PY) -m tests.bench.result_ready

hil: $(DEV)  ## the whole fault matrix on six simulated rigs in three modes, with a report to sign: build/hil/report.html
	$(PY) -m hil_tests $(foreach rig,$(RIGS),--rig $(rig)) $(foreach mode,$(MODES),--mode $(mode)) --jobs $(JOBS) --out build/hil

soak: $(DEV)  ## closed loop with random faults, 200 kills, and the line with ten status clients
	$(foreach protocol,$(PROTOCOLS),$(PY) -m hil_tests.soak --protocol $(protocol) --parts $(PARTS) &&) true
	$(PY) -m pytest -m slow -s

cameras: $(DEV)  ## GenTL cameras that the line triggers: 20,000 parts with spoilt frames, then twenty pulled cables
	@status=0; \
	$(PY) -m controller.sim.frame_trial --out build/cameras/faults --json build/cameras/faults.json || status=$$?; \
	$(PY) -m controller.sim.frame_trial --parts 850 --views 1 --no-redundant --faults 0 --unplug-every 40 \
	  --out build/cameras/cables --json build/cameras/cables.json || status=$$?; \
	exit $$status

hostile: $(DEV)  ## hostile status clients: 100,000 odd packets, and the line at 600 parts/min with and without them
	$(PY) -m pytest -m slow -s tests/integration/test_status_hostile.py

real: $(TRAIN)  ## a model from real images, and the line on their test split
	$(PY) -m controller.sim.real_demo --data ../shared/data/magnetic_tile --out build/real --json build/real/report.json

train-bars: $(TRAIN)  ## builds on the real sets, each figure against its bar (an hour or two)
	$(PY) -m tests.bench.train_bars --data ../shared/data --out build/bars

model: $(TRAIN)  ## train the demo model anew
	$(PY) -m controller.sim.demo_model --out models/packages

node-client:  ## the independent OPC UA client that a test uses where it is installed (needs Node)
	cd tests/integration/node && npm install --no-audit --no-fund

tlsimu: $(DEV)  ## EMVA's own simulated GenTL cameras from an older genicam wheel: a second opinion for the camera contract
	$(PY) -m pip download --quiet --no-deps --only-binary=:all: --platform manylinux2014_x86_64 --python-version 3.11 \
	  --dest build/tlsimu genicam==1.5.0
	cd build/tlsimu && $(abspath $(PY)) -m zipfile -e genicam-1.5.0-*.whl . && mv */purelib/genicam/TLSimu.cti */purelib/genicam/libVirtualFG.so .

docs: $(DEV)  ## generated pages
	$(PY) -m statemachines.diagrams > docs/state-machines.md
	$(PY) -m controller.status.address_space > docs/status-nodes.md
	$(PY) -m controller.drivers.plc.modbus_table docs/modbus-registers.md
	$(PY) -m tests.plc_blocks.logix
	$(PY) -m controller.status.alarms.table > docs/alarms.md

clean:
	rm -rf $(VENV) build

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Linegate needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(MAKE) --no-print-directory system-venv
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip

.PHONY: system-venv
system-venv:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	else echo "missing: the Python module venv. On Debian: apt-get install python3-venv"; exit 1; fi

$(RUNTIME): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet -e .
	@$(PY) -c 'import cv2' 2>/dev/null || $(MAKE) --no-print-directory system-opencv
	$(BIN)/linegate prepare
	@touch $@

.PHONY: system-opencv
system-opencv:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq libgl1 libglib2.0-0; \
	else echo "missing: system libraries of OpenCV. On Debian: apt-get install libgl1 libglib2.0-0"; exit 1; fi
	@$(PY) -c 'import cv2'

$(DEV): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet -e '.[dev]'
	@$(PY) -c 'import cv2' 2>/dev/null || $(MAKE) --no-print-directory system-opencv
	$(BIN)/linegate prepare
	@touch $(RUNTIME) $@

# torch first and pinned, so that nothing pulls a build with gigabytes of CUDA packages behind it.
$(TRAIN): pyproject.toml | $(DEV)
	$(PY) -m pip install --quiet torch==2.13.0
	$(PY) -m pip install --quiet -e '.[train]'
	@touch $@
