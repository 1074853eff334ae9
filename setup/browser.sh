#!/bin/sh
# Finds a headless Chromium for the tests of the pages, and installs one where there is none.
#
# In this order: a Chromium or Chrome of the system that starts; Debian's package, where apt-get may be used; the one that
# Playwright downloads for itself. tests/browser.py decides what counts: a browser that really shows a page.
set -eu
cd "$(dirname "$0")/.."

say() { echo "coldframe: $*" >&2; }
works() { .venv/bin/python tests/browser.py; }

if works >/dev/null 2>&1; then exit 0; fi

if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true >/dev/null 2>&1; then sudo="sudo -n"; else sudo=none; fi
command -v apt-get >/dev/null 2>&1 || sudo=none

apt_install() {
    say "installing $* from Debian's packages, for the tests of the pages"
    { $sudo apt-get -qq update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0 install -y --no-install-recommends "$@"; } >&2 ||
        say "apt-get could not install $*"
}

# Playwright's driver is a program that needs this library, which a bare system may lack.
if [ "$sudo" != none ] && ! .venv/bin/playwright --version >/dev/null 2>&1; then apt_install libatomic1; fi
if works >/dev/null 2>&1; then exit 0; fi

# Ubuntu's package of this name is only a pointer to a snap, which servers and containers cannot start.
if [ "$sudo" != none ] && ! grep -qi ubuntu /etc/os-release; then
    apt_install chromium
    if works >/dev/null 2>&1; then exit 0; fi
fi

say "downloading Playwright's Chromium for the tests of the pages"
.venv/bin/python -m playwright install --only-shell chromium >&2 || say "Playwright could not download its Chromium"
if [ "$sudo" != none ] && ! works >/dev/null 2>&1; then
    $sudo .venv/bin/python -m playwright install-deps chromium >&2 || say "Playwright could not install what its Chromium needs"
fi
works >/dev/null || {
    say "no Chromium that starts. On Debian type: sudo apt-get install chromium libatomic1    elsewhere: .venv/bin/playwright install --with-deps chromium"
    exit 1
}
