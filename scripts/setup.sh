# SPDX-License-Identifier: MIT
# Sourced by scripts/tour and scripts/test: installs what is missing, builds, and installs
# akernel and its kernelspec into .local of the project, with a test environment in .venv.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'akernel: %s\n' "$*" >&2; exit 1; }

packages=(gcc pkg-config meson ninja-build libzmq3-dev libjansson-dev libsodium-dev
          libhiredis-dev libssl-dev uuid-dev python3 python3-dev python3-venv)

install_packages() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null; then
        say "No dpkg here: taking for granted that these (or their like) are installed: ${packages[*]}"
        return
    fi
    for package in "${packages[@]}" "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        fail "these packages are missing; install them and run this again: sudo apt-get install ${missing[*]}"
    fi
    say "Installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install them: see its messages above"
}

build() {
    local python
    python=$(command -v python3) || fail "there is no python3 on PATH"
    say "Building akernel for $("$python" --version) ($python)"
    [ -f build-local/build.ninja ] || meson setup build-local --prefix "$PWD/.local" -Dpython="$python" "$@" >build-setup.log 2>&1 ||
        { cat build-setup.log; fail "the build could not be configured: the last lines above say why"; }
    rm -f build-setup.log
    ninja -C build-local >build-local/ninja.log || { tail -40 build-local/ninja.log; fail "the build failed"; }
    meson install -C build-local --no-rebuild --quiet
}

# What a requirements file names, in the versions of tests/constraints.txt; nothing to do
# when that is what the environment was made from.
fill_environment() { # ENVIRONMENT REQUIREMENTS WORDS
    local python
    python=$(command -v python3)
    cat "$2" tests/constraints.txt | cmp -s - "$1/made-from.txt" && return
    say "Installing $3 into $1"
    [ -x "$1/bin/python" ] || "$python" -m venv "$1" || fail "python3 -m venv failed: install python3-venv"
    "$1/bin/pip" install -q --disable-pip-version-check -r "$2" -c tests/constraints.txt ||
        fail "pip could not install what $2 names: see its messages above"
    cat "$2" tests/constraints.txt >"$1/made-from.txt"
}

make_environment() {
    fill_environment .venv tests/requirements.txt "the client side (nbclient, pytest, ...)"
}

install_kernels() {
    local mode
    say "Installing the kernelspec into .local"
    .local/bin/akernel install --prefix .local --python .venv/bin/python
    for mode in chained concurrent cache react multi; do
        .local/bin/akernel install "$mode" --prefix .local --python .venv/bin/python >/dev/null
    done
    export JUPYTER_PATH="$PWD/.local/share/jupyter"
}

# The front-end suites: a browser, and an environment with what users have beside a kernel.
make_suites_environment() {
    install_packages chromium fonts-dejavu-core
    fill_environment .venv-suites tests/frontends/requirements.txt \
        "JupyterLab, a driver for the browser and data libraries"
    .local/bin/akernel install --prefix .local-suites --python .venv-suites/bin/python >/dev/null
}
