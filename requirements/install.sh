#!/usr/bin/env bash
# Makes the virtual environment in the project's root hold the tested stack: install.sh [VENV] [EXTRA].
# EXTRA is one of setup.cfg's that names others: base (the default) to train and report, all to test and
# document too. Installs nothing when the environment already holds it. PYTHON names the interpreter of a new environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=${1:-.venv}
PY=$VENV/bin/python
LOCK=requirements/lock.txt
HASHES=requirements/hashes.txt
EXTRA=${2:-base}
STAMP=$VENV/.clsa_mm_installed

say() { echo "[install] $*"; }
fail() { echo "[install] error: $*" >&2; exit 1; }

# Runs, rather than only exists (a pyenv shim may exist and fail), and is a supported version.
supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
        >/dev/null 2>&1 </dev/null
}

has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 </dev/null; }

# Prints the interpreter that a new environment is made with.
pick_python() {
    local candidate without_venv=""
    if [[ -n ${PYTHON:-} ]]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON does not run or is not Python 3.10, 3.11 or 3.12"
        has_venv "$PYTHON" || fail "PYTHON=$PYTHON lacks the modules venv and ensurepip"
        echo "$PYTHON"
        return
    fi
    for candidate in python3.12 python3.11 python3.10 python3; do
        supported "$candidate" || continue
        if has_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        without_venv=$candidate
    done
    if [[ -n $without_venv ]]; then
        fail "$without_venv lacks the modules venv and ensurepip;" \
            "on Debian or Ubuntu: apt-get install $without_venv-venv"
    fi
    fail "no Python 3.10, 3.11 or 3.12 found (tried python3.12, python3.11, python3.10, python3);" \
        "install one, or name it: make install PYTHON=/path/to/python3.12"
}

make_venv() {
    local python
    python=$(pick_python)
    say "creating $VENV with $("$python" --version) ($python)"
    "$python" -m venv --clear "$VENV"
}

# What the environment depends on; another value means: install again.
stamp_key() {
    "$PY" - "$LOCK" "$HASHES" setup.cfg pyproject.toml requirements/install.sh <<'PYTHON'
import hashlib, os, sys
digest = hashlib.sha256(f"{sys.version} {os.getcwd()}".encode())
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        digest.update(file.read())
print(digest.hexdigest())
PYTHON
}

# With progress bars where someone may be watching; setuptools' warning would only distract.
pip_install() {
    local quiet=--quiet
    [[ ! -t 1 ]] || quiet=""
    PYTHONWARNINGS="ignore:Editable installation" "$PY" -m pip install $quiet \
        --disable-pip-version-check "$@"
}

# What the extras ask for, and what builds this package itself.
requirements() {
    "$PY" - "$EXTRA" <<'PYTHON'
import configparser, re, sys
config = configparser.ConfigParser()
config.read("setup.cfg")
extras = config["options.extras_require"]
names = re.search(r"\[(.*)\]", extras[sys.argv[1]])[1].split(",")
texts = [config["options"]["install_requires"], *(extras[name] for name in names), "setuptools"]
print("\n".join(texts))
PYTHON
}

# A distribution of the lock with its hashes, for a pip that takes none from constraints.
locked() {
    "$PY" - "$HASHES" "$1" <<'PYTHON'
import sys
lines = open(sys.argv[1]).read().replace("\\\n", "").splitlines()
print(*(line for line in lines if line.startswith(sys.argv[2] + "==")))
PYTHON
}

install_stack() {
    say "installing clsa_mm[$EXTRA] into $VENV from $LOCK (a few minutes, most of it for torch)"
    # The locked pip first: it knows --build-constraint, and takes hashes from constraints.
    locked pip >"$STAMP.requirements"
    pip_install --require-hashes --requirement "$STAMP.requirements"
    # An isolated build of mmcv sees no torch, and so compiles no ops: seconds instead of minutes. What such
    # builds need is locked by version alone: pip knows no hashes there.
    requirements >"$STAMP.requirements"
    pip_install --require-hashes --constraint "$HASHES" --build-constraint "$LOCK" --requirement "$STAMP.requirements"
    rm "$STAMP.requirements"
    # A folder has no hash, so the checkout comes by itself.
    pip_install --no-deps --no-build-isolation --editable .
    # opencv-python needs desktop libraries that servers and containers often lack.
    if ! "$PY" -c 'import cv2' >/dev/null 2>&1; then
        say "opencv-python does not load here (no libGL?): putting the headless build over it"
        pip_install --constraint "$HASHES" --force-reinstall --no-deps opencv-python-headless
    fi
}

if [[ ! -d $VENV ]]; then
    make_venv
elif ! "$PY" -m pip --version >/dev/null 2>&1; then
    say "$VENV is incomplete or its Python is gone"
    make_venv
elif ! supported "$PY"; then
    fail "$VENV has $("$PY" --version); 3.10, 3.11 or 3.12 is needed. Remove it: rm -rf $VENV"
fi

key=$(stamp_key)
if [[ -f $STAMP && ($(<"$STAMP") == "$key $EXTRA" || $(<"$STAMP") == "$key all") ]]; then
    say "$VENV is up to date"
    exit
fi
rm -f "$STAMP"  # an interrupted install must not look complete
start=$SECONDS
install_stack
echo "$key $EXTRA" >"$STAMP.new"
mv "$STAMP.new" "$STAMP"
say "done in $((SECONDS - start)) s"
