# make lab     opens the course in JupyterLab
# make teach   opens the slides in JupyterLab, for a projector
# make stick   packs stick/, which installs the course without a network
# make test    checks everything: code, lessons, every cell of every notebook
# make lint    checks style, types and imports alone, in seconds
# make hands   treats notebooks and checks as learners do; half an hour
# make soak    runs all cells 20 times, and 10 on busy cores (ROUNDS=20)
# make check-machines  runs all cells on the machines that people bring
# make check-pythons  judges the answers on this machine's other Pythons
# make check-hub    gives a class of two in a JupyterHub (npm brings its proxy)
# make check-slides  shows each slide of the course: does it fit the projector?
# make mutants breaks the instruments: do their tests notice? an hour; then the
#              solutions: do the checks? (LESSON=03: of one lesson, 5 minutes)
# make build   writes notebooks/, solutions/ and slides/ from lessons/
#              (LESSON=02: one)
# make site    builds the site to read from notebooks/, into dist/site/
# make check-site  builds it, and looks at all its pages in a browser
# make check-links  asks whether what it links to elsewhere is there
# make address writes the course's public address wherever it stands, once it
#              has been set in pyproject.toml
# make update  takes a new version of the course and keeps your answers
# make fresh   puts a lesson as it came beside yours (LESSON=02)
# make reset   forgets which exercises were solved
# make release gives the course a version: notebooks, tag, wheel (VERSION=0.3.0)
# make bench   measures imports, pictures, recording, sizes, the board, validation
# make lock    moves requirements.txt to the newest versions, or to the oldest
#              that pyproject.toml admits (RESOLUTION=lowest-direct)

PYTHON ?= python3
VENV ?= .venv
LESSON ?=
VERSION ?=
ROUNDS ?= 20
RESOLUTION ?= highest
MINIMUM := 3.11

BIN := $(VENV)/bin
UV := $(VENV)/tools/bin/uv
SETTINGS := pyproject.toml requirements.txt aula/jupyterlab.json

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	-c requirements.txt

# uv is ten times faster, and where it has what is needed it asks no network;
# pip knows mirrors and certificates that uv does not. Both compile what they
# install: else the first programs would, all at once.
uv = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python \
	-c requirements.txt $(1)
install = $(uv) --offline 2>/dev/null || $(uv) || $(PIP) $(1)

# What is installed or removed by hand changes this folder.
PACKAGES := $(wildcard $(VENV)/lib/python*/site-packages)

# The programs in an environment name the folder that it was made in. If it has
# been moved or copied since, or has lost its Python, it is made anew.
MADE_IN := $(shell test -x $(BIN)/python && cat $(VENV)/folder 2>/dev/null)
ifneq ($(MADE_IN),$(shell pwd -P))
.PHONY: $(BIN)/pip $(VENV)/for-learners $(VENV)/for-teachers \
	$(VENV)/for-authors $(VENV)/for-site
endif

.PHONY: lab teach stick lint test build bench lock reset update fresh hands \
	release soak check-machines check-pythons check-hub check-slides mutants \
	site check-site check-links address

lab: $(VENV)/for-learners
	$(BIN)/jupyter lab --notebook-dir=. notebooks/index.ipynb

teach: $(VENV)/for-teachers
	$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/slides

stick: $(VENV)/for-teachers
	$(BIN)/python -m authoring.stick $(UV)

lint: $(VENV)/for-authors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

test: lint
	@$(BIN)/python tests/chromium.py
	$(BIN)/pytest

hands: $(VENV)/for-authors
	$(BIN)/pytest -m slow tests

soak: $(VENV)/for-authors
	$(BIN)/python tests/soak.py $(ROUNDS)

check-machines: $(VENV)/for-authors
	$(BIN)/python tests/machines.py

check-pythons: $(VENV)/for-authors
	$(BIN)/python tests/pythons.py

check-hub: $(VENV)/for-authors
	@$(BIN)/python tests/chromium.py
	$(BIN)/pytest -n0 -m hub tests/test_hub.py

check-slides: $(VENV)/for-authors
	@$(BIN)/python tests/chromium.py
	$(BIN)/pytest -n0 -m "" tests/test_browser_slides.py

site: $(VENV)/for-site site/node_modules
	$(BIN)/python -m authoring.site

check-site: $(VENV)/for-site site/node_modules
	@$(BIN)/python tests/chromium.py
	$(BIN)/pytest -n0 -m site tests/test_site.py

check-links: $(VENV)/for-site
	$(BIN)/python -m authoring.site links

mutants: $(VENV)/for-authors
	$(BIN)/python tests/mutants.py $(LESSON)

build: $(VENV)/for-authors
	$(BIN)/python -m authoring.build $(LESSON)

address: $(VENV)/for-authors
	$(BIN)/python -m authoring.address

update: $(VENV)/for-learners
	$(BIN)/python -m aula.versions update

fresh: $(VENV)/for-learners
	$(BIN)/python -m aula.versions fresh $(LESSON)

reset: $(VENV)/for-learners
	$(BIN)/python -m aula.exercises.progress

bench: $(VENV)/for-authors
	$(BIN)/python tests/bench.py

release: $(VENV)/for-authors
	$(BIN)/python -m authoring.release $(VERSION)
	$(MAKE) test
	git commit --quiet --all --message "Version $(VERSION)"
	git tag --annotate v$(VERSION) --message "Version $(VERSION)"
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

lock: $(UV)
	$(UV) pip compile pyproject.toml --quiet --upgrade --all-extras \
		--universal --python-version $(MINIMUM) --resolution $(RESOLUTION) \
		--custom-compile-command "make lock" --output-file requirements.txt

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < \
		tuple(map(int, "$(MINIMUM)".split("."))))' \
	|| { echo "$(PYTHON) is not Python $(MINIMUM) or later." \
		"Name one that is: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	|| { echo "$(PYTHON) cannot make virtual environments." \
		"On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	@test ! -e $(BIN) || echo "$(VENV) was made for another folder, another" \
		"Python or an older version of the course: it is made anew."
	@echo "Installing into $(VENV); the first time takes a minute or two."
	@$(PYTHON) -m venv --clear $(VENV)
	@pwd -P > $(VENV)/folder

$(UV): $(BIN)/pip
	@$(PIP) --target $(VENV)/tools uv

$(VENV)/for-learners: $(SETTINGS) $(PACKAGES) | $(UV)
	@$(call install,-e '.[lab]')
	@touch $@

$(VENV)/for-teachers: $(SETTINGS) $(PACKAGES) | $(UV)
	@$(call install,-e '.[teach]')
	@touch $(VENV)/for-learners $@

$(VENV)/for-authors: $(SETTINGS) $(PACKAGES) | $(UV)
	@$(call install,-e '.[test]')
	@touch $(VENV)/for-learners $(VENV)/for-teachers $@

$(VENV)/for-site: $(SETTINGS) $(PACKAGES) | $(UV)
	@$(call install,-e '.[site]')
	@touch $(VENV)/for-learners $(VENV)/for-teachers $(VENV)/for-authors $@

site/node_modules: site/package.json site/package-lock.json
	@command -v npm >/dev/null || { echo "The site needs npm, which comes" \
		"with Node.js. On Debian or Ubuntu: sudo apt install npm"; exit 1; }
	cd site && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
