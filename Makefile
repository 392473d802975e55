# make lab     opens the course in JupyterLab
# make test    checks everything: code, lessons, every cell of every notebook
# make build   writes notebooks/ and solutions/ from lessons/ (LESSON=02: one)
# make bench   measures what the checks and the imports cost
# make lock    moves requirements.txt to the newest versions

PYTHON ?= python3
LESSON ?=
MINIMUM := 3.11

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet \
	--disable-pip-version-check -c requirements.txt
SETTINGS := pyproject.toml requirements.txt aula/jupyterlab.json

.PHONY: lab test build bench lock

lab: .venv/for-learners
	$(BIN)/jupyter lab --notebook-dir=. notebooks/index.ipynb

test: .venv/for-authors
	$(BIN)/ruff check
	$(BIN)/pytest

build: .venv/for-authors
	$(BIN)/python -m aula.build $(LESSON)

bench: .venv/for-authors
	$(BIN)/python tests/bench.py

lock: $(BIN)/pip
	$(INSTALL) uv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --all-extras \
		--universal --python-version $(MINIMUM) \
		--custom-compile-command "make lock" --output-file requirements.txt

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; \
		sys.exit("%d.%d" % sys.version_info[:2] if \
		sys.version_info < tuple(map(int, "$(MINIMUM)".split("."))) else 0)' \
	|| { echo "$(PYTHON) is not Python $(MINIMUM) or later." \
		"Name one that is: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	|| { echo "$(PYTHON) cannot make virtual environments." \
		"On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/for-learners: $(SETTINGS) | $(BIN)/pip
	@echo "Installing the course; the first time takes a minute or two."
	@$(INSTALL) -e .
	@touch $@

.venv/for-authors: .venv/for-learners
	@echo "Installing what authors and tests use."
	@$(INSTALL) -e '.[test]'
	@touch $@
