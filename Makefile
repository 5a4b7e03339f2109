PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCRIPTS := $(shell grep -l -e '--tiny' benchmarks/*.py training/*.py examples/*.py 2>/dev/null)
export HF_HUB_OFFLINE = 1

.PHONY: demo test lint scripts clean

# A venv with mmsearch and all that its tests need.
$(BIN)/mmsearch: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[test]'
	@touch $@

# Index real photographs, ask three questions, write a gallery of the last answers.
demo: $(BIN)/mmsearch
	$(BIN)/python tests/photos.py demo/photos
	$(BIN)/mmsearch --index-dir demo/index index demo/photos
	$(BIN)/mmsearch --index-dir demo/index query "a cat" -k 3
	$(BIN)/mmsearch --index-dir demo/index query "a rocket on its launch pad" -k 3
	$(BIN)/mmsearch --index-dir demo/index query "a cup of coffee" -k 6 --gallery demo/gallery.html

test: lint scripts
	$(BIN)/pytest

lint: $(BIN)/mmsearch
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each benchmark, training script and example once, on next to nothing.
scripts: $(BIN)/mmsearch
	@set -e; for script in $(SCRIPTS); do \
		echo "$$script --tiny"; \
		$(BIN)/python -m $$(echo $${script%.py} | tr / .) --tiny; \
	done

clean:
	rm -rf $(VENV) demo
