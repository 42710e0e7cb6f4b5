# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.PHONY: demo test docs gallery notebooks dist wheels bench clean

demo: .venv/ready  ## Train a teacher on CartPole, distil it, prove it.
	$(BIN)/python -m experiments.cartpole --out $(DEMO) --overwrite

test: .venv/ready  ## Style, types and tests.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

docs: .venv/ready  ## The site, into build/site; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

gallery: .venv/ready  ## The three reports of docs/gallery, which the site shows; needs POLICY_DISTILL_ZOO.
	$(BIN)/python -m experiments.gallery --zoo "$(POLICY_DISTILL_ZOO)"

notebooks: .venv/ready  ## The notebooks of examples/ as .ipynb, into build/notebooks.
	mkdir -p build/notebooks
	cd examples && for name in *.py; do ../$(BIN)/jupytext --quiet --to ipynb --output ../build/notebooks/$${name%.py}.ipynb $$name; done

dist: .venv/ready  ## Source archive and wheel, into dist; their metadata are checked, and the wheel is tried alone.
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m pytest tests/docs/test_release.py

bench: .venv/ready  ## Speed, learning and growth beside the environment and a plain script; needs POLICY_DISTILL_ZOO.
	$(BIN)/python -m experiments.benchmarks.speed --zoo "$(POLICY_DISTILL_ZOO)"
	$(BIN)/python -m experiments.benchmarks.learning --zoo "$(POLICY_DISTILL_ZOO)"
	$(BIN)/python -m experiments.benchmarks.growth

# The marker is newer than all of these only after a whole installation, so a broken one is done again.
.venv/ready: pyproject.toml constraints.txt setup.py $(wildcard policy_distill/student/engines/_*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Installing into .venv: some minutes, and some GB with PyTorch.'
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[all]'
	touch $@

wheels: .venv/ready  ## dist/: policy-distill, and policy-distill-runtime, which it requires; pure Python with POLICY_DISTILL_PURE=1.
	rm -rf build/split runtime/build
	$(BIN)/python -m pip wheel --quiet --no-deps -w dist ./runtime
	POLICY_DISTILL_SPLIT=1 $(BIN)/python -m pip wheel --quiet --no-deps -w dist .

clean:
	rm -rf .venv build dist *.egg-info runtime/build runtime/*.egg-info
