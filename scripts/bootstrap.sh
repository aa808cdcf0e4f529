#!/usr/bin/env bash
# Make a virtual environment with this package (editable) and all that its tasks need.
#
#   scripts/bootstrap.sh [pinned | latest | lowest | constraints]
#
#   pinned       .venv         the releases in constraints.txt; what everyone works with
#   latest       .venv-latest  the newest releases that pyproject.toml allows
#   lowest       .venv-lowest  the oldest releases that pyproject.toml allows
#   constraints  no environment: writes the newest releases into constraints.txt
#
# Nothing has to be there but some Python 3 and a package index: uv is taken from the PATH or put
# into .uv/. UV_PYTHON chooses the interpreter. Says nothing and takes no time when all is done.
set -euo pipefail
cd "$(dirname "$0")/.."

lane=${1:-pinned}
case $lane in
pinned)
  venv=.venv
  resolution=(--constraints constraints.txt --build-constraints constraints.txt)
  ;;
latest)
  venv=.venv-latest
  resolution=(--upgrade)
  ;;
lowest)
  venv=.venv-lowest
  resolution=(--resolution lowest-direct)
  ;;
constraints) ;;
*)
  echo "bootstrap: '$lane' is none of pinned, latest, lowest and constraints" >&2
  exit 2
  ;;
esac

# Interpreters by falling preference, one a line. A name on the PATH may be a pyenv shim that fails
# when it is run, and uv gives up at the first of those: so names and pyenv's own folder as well.
interpreters() {
  command -v "${UV_PYTHON:-}" || true
  if [ "$lane" = lowest ]; then
    # For the oldest releases there are wheels for the oldest Python; others are compiled for long.
    command -v python3.12 || true
    find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -path '*/3.12.*/bin/python3' 2>/dev/null || true
    if [ -n "${uv:-}" ]; then
      "$uv" python find --system --no-project 3.12 2>/dev/null || true
    fi
  fi
  if [ -n "${uv:-}" ]; then
    "$uv" python find --system --no-project "${UV_PYTHON:->=3.12}" 2>/dev/null || true
  fi
  for name in python3.13 python3.12 python3.14 python3; do
    command -v "$name" || true
  done
  find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -path '*/bin/python3' 2>/dev/null |
    grep -E '/3\.[0-9]+\.[0-9]+/bin/python3$' | sort -rV || true
}

find_uv() {
  for uv in "$(command -v uv || true)" "$PWD/.uv/bin/uv"; do
    # Older releases do not know dependency groups.
    if [ -n "$uv" ] && "$uv" pip install --help 2>/dev/null | grep -q -e '--group'; then
      return
    fi
  done
  uv=
  while read -r python; do
    if "$python" -m venv --clear .uv >/dev/null 2>&1 &&
      .uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'; then
      uv=$PWD/.uv/bin/uv
      return
    fi
  done < <(interpreters)
  echo "bootstrap: neither uv nor a Python 3 that can make virtual environments was found." >&2
  echo "Install uv, or on Debian and Ubuntu the package python3-venv." >&2
  exit 1
}

supported() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

find_python() {
  while read -r python; do
    if supported "$python"; then
      return
    fi
  done < <(interpreters)
  echo "bootstrap: no Python 3.12 or later here; uv fetches one" >&2
  if "$uv" python install 3.13 && python=$("$uv" python find --system --no-project 3.13); then
    return
  fi
  echo "bootstrap: install Python 3.12 or later, or name one: UV_PYTHON=/path/to/python" >&2
  exit 1
}

if [ "$lane" = constraints ]; then
  find_uv
  find_python
  echo '# Written by `make constraints`; what `make env` installs.' >constraints.txt.new
  "$uv" pip compile pyproject.toml --all-extras --group dev --quiet \
    --python "$python" --python-version 3.12 --universal \
    --no-emit-index-url --no-annotate --no-header >>constraints.txt.new
  mv constraints.txt.new constraints.txt
  exit 0
fi

# All that the result depends on. The scripts of an environment name their folder, so one that was
# moved is stale too. The newest releases have to be asked for every time.
stamp=$venv/.virtual-tiff-stamp
state="$lane $PWD $(cat pyproject.toml clients/python/pyproject.toml constraints.txt src/virtual_tiff/_version.py "$0" | cksum)"
if [ "$lane" != latest ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] &&
  [ -x "$venv/bin/virtual-tiff" ] && supported "$venv/bin/python"; then
  exit 0
fi

find_uv
if ! supported "$venv/bin/python" || { [ -e "$stamp" ] && ! grep -qF " $PWD " "$stamp"; }; then
  find_python
  rm -rf "$venv"
  "$uv" venv --quiet --no-project --python "$python" "$venv"
fi
echo "bootstrap: installing into $venv ($lane)" >&2
rm -f "$stamp"
# Bytecode: seconds here, for which each of the many fresh processes of the tests starts faster.
"$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" "${resolution[@]}" \
  --editable '.[all]' --editable clients/python --group dev
echo "$state" >"$stamp"
