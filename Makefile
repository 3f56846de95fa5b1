# Every target is one line that you can also type; on Windows write .venv\Scripts\python
# for .venv/bin/python. Nothing is installed twice: .venv/installed marks what is there.
# Two targets run side by side where they may.
PYTHON ?= python3
PY = .venv/bin/python
MAKEFLAGS += --jobs=2
.PHONY: install demo test check style types pairs site lab release grade sync kill-matrix bench

install: .venv/installed

.venv/installed: course/pyproject.toml pyproject.toml constraints.txt
	@echo "== installing into .venv (once; a few minutes)"
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e course -e ".[cluster,site,test]"
	$(PY) -m compileall -qq -j 0 .venv || true  # on all cores; some packages hold what is no Python 3
	$(PY) -c "open('.venv/installed', 'w')"

demo: install
	@echo "== demo: execute, release and grade notebook 01 for a class of examples"
	$(PY) -m autograder demo 01_resnets_as_euler

test: check
	@echo "== tests of the package, the notebooks' frame, the answers and the grading"
	$(PY) -m slipcover -m pytest -n auto --dist worksteal tests
	@echo "== every solution notebook, executed again and compared"
	$(PY) -m pytest -n auto --dist loadscope --nbval solutions

check: style types pairs

style: install
	@echo "== style"
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: install
	@echo "== types"
	$(PY) -m mypy

pairs: install
	@echo "== pairs in sync, release rebuilt byte for byte"
	$(PY) -m autograder sync --check
	$(PY) -m autograder release --check
	$(PY) -m autograder readme --check

site: install
	@echo "== the course as a web page in build/site"
	$(PY) -m autograder site

lab: install
	@echo "== JupyterLab on the released notebooks"
	$(PY) -m jupyter lab course

sync: install
	@echo "== bringing the executed solutions up to their text"
	$(PY) -m autograder sync

release: sync
	@echo "== releasing solutions/ into course/"
	$(PY) -m autograder release
	$(PY) -m autograder readme

grade: install
	@echo "== grading autograder/submitted/"
	$(PY) -m autograder grade

kill-matrix: install
	@echo "== writing tests/kill_matrix.md"
	$(PY) -m pytest -q tests/test_kill_matrix.py --write-kill-matrix

bench: install
	@echo "== paired timings; leave the machine alone meanwhile"
	$(PY) -m pytest -q -s -m benchmark tests/bench_*.py
