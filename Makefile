PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCRIPTS := $(shell grep -l -e '--tiny' benchmarks/*.py training/*.py training/*/__main__.py examples/*.py 2>/dev/null)
export HF_HUB_OFFLINE = 1
# A notice of other programs that is none of a build's business.
export NO_MKDOCS_2_WARNING = 1

.PHONY: demo test lint scripts site clean

# A venv with mmsearch and all that its tests need.
$(BIN)/mmsearch: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[test]'
	@touch $@

# A venv of its own for the demo: the built-in model needs neither torch nor open_clip.
.venv-demo/bin/mmsearch: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet -e '.[demo]'
	@touch $@

# Index real photographs, ask four questions that they answer and one that none of them does, and
# write a gallery of the answers.
demo: .venv-demo/bin/mmsearch
	.venv-demo/bin/python -m samples.photos demo/photos
	.venv-demo/bin/mmsearch --index-dir demo/index index demo/photos
	.venv-demo/bin/python -m examples.gallery demo/photos demo/index demo/gallery.html \
		"a cat" "a rocket" "a person with a camera" "a motorcycle" \
		"a dog on a beach"

test: lint scripts
	$(BIN)/pytest -n auto

lint: $(BIN)/mmsearch
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check
	$(BIN)/mkdocs build --quiet --strict

# The pages of docs/ as a site, in site/.
site: $(BIN)/mmsearch
	$(BIN)/mkdocs build --strict

# Each benchmark, training script and example once, on next to nothing.
scripts: $(BIN)/mmsearch
	@.ci/scripts $(BIN)/python $(SCRIPTS)

clean:
	rm -rf $(VENV) .venv-demo demo site
