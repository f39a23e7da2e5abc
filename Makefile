# The commands a person runs are the ones CI runs (.ci/run). `make demo` and `make test` do all set-up themselves.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test slow torture lowest lint types types-page starter pictures clean

demo: $(VENV)/.installed
	$(BIN)/charlstm train --max-time 60s

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

# What is promised when things go wrong, attacked at full size: hours. `make slow` has the same tests at a size for CI.
torture: $(VENV)/.dev
	$(BIN)/python -m benchmarks.torture

# With the lowest versions that pyproject.toml allows: the tests of what others' packages do for us.
lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(PYTHON) .ci/lowest.py > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/pip install --quiet -c $(VENV)-lowest/constraints.txt --editable '.[onnx,plots,tune]' \
		hypothesis pytest pytest-timeout pytest-xdist trustme
	$(VENV)-lowest/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning tests/api \
		tests/checkpoint tests/corpora tests/report tests/tokenizers tests/tuning tests/cli/test_sample.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy -p benchmarks

# The types of the page's JavaScript, from the comments in it. Where TypeScript cannot be had, nothing is checked.
types-page:
	@if $(MAKE) --silent --no-print-directory $(VENV)/node_modules/.bin/tsc; then $(VENV)/node_modules/.bin/tsc -p tests/page; \
		else echo "no TypeScript: the types of the page are left out"; fi

$(VENV)/node_modules/.bin/tsc: $(VENV)/bin/python
	npm install --silent --no-save --no-audit --no-fund --prefix $(VENV) typescript@5.9.3
	@touch $@

# Makes checkpoints/starter/model.safetensors again, from the classics and the bundled corpus: four to five hours on
# two cores with bf16. After an interruption the same command goes on.
starter: $(VENV)/.installed
	$(BIN)/charlstm corpora fetch classics
	$(BIN)/python -m benchmarks.starter_mix $(VENV)/starter.txt
	$(BIN)/charlstm train $(VENV)/starter.txt --name starter-new --preset starter --resume auto
	$(BIN)/charlstm checkpoints copy starter-new checkpoints/starter --dtype int8 --force

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet "pip>=25.1"
	$(BIN)/pip install --quiet -c constraints.txt --group dev
	@touch $@

# Makes the pictures of docs/inside.md and of the README again, with the starter and, for the last one, Chromium.
pictures: $(VENV)/.dev
	mkdir -p docs/pictures
	$(BIN)/charlstm inspect step starter "The tide was out." --at 4 --png docs/pictures/step.png
	$(BIN)/charlstm inspect memory starter --png docs/pictures/memory.png
	$(BIN)/charlstm inspect surprise starter '"Where have you been?" said Tom. "I was at the mill," she answered.' \
		--png docs/pictures/surprise.png
	$(BIN)/charlstm inspect embeddings starter --png docs/pictures/embeddings.png
	$(BIN)/charlstm inspect fan starter "He had never seen such a th" --png docs/pictures/fan.png
	$(BIN)/charlstm export html starter -o $(VENV)/starter.html --force
	$(BIN)/python docs/pictures/page.py $(VENV)/starter.html docs/pictures/page.png

clean:
	rm -rf $(VENV) $(VENV)-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis
