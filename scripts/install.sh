#!/bin/sh
# Installs into .venv, which it makes first: scripts/install.sh '.' or '.[dev]'.
set -eu
cd "$(dirname "$0")/.."

complain() {
    echo "parlor: $1" >&2
    exit 1
}

# Prints the first Python that passes the test given as Python code.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c "import sys; assert sys.version_info >= (3, 11); $1" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Debian and Ubuntu keep ensurepip in a package of its own.
add_venv_package() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        complain "$1 cannot make virtual environments: install python3-venv (on Debian and Ubuntu: sudo apt-get install python3-venv)"
    fi
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "apt-get install python3-venv: .venv needs it, and it is not here" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt_get update || true  # an old list may do
    for package in python3-venv "python$version-venv"; do
        apt_get install -y --no-install-recommends "$package" || complain "apt-get cannot install $package"
        "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 && return
    done
    complain "$1 still cannot make virtual environments"
}

apt_get() {
    said=$(apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null) || {
        echo "$said" >&2
        return 1
    }
}

if ! .venv/bin/python -c 'import sys, pip; assert sys.version_info >= (3, 11)' >/dev/null 2>&1; then
    python=$(find_python 'import venv, ensurepip') || {
        python=$(find_python '') || complain 'Python 3.11 or newer is needed (as python3, or python3.11 … python3.14)'
        add_venv_package "$python"
    }
    echo "Making .venv with $("$python" --version)" >&2
    "$python" -m venv --clear .venv
fi

echo "Installing $1 into .venv: a minute or two, once" >&2
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt -e "$1"
