#!/usr/bin/env bash
# Makes a virtual environment match the lock files, or does nothing when it already does.
# usage: venv.sh PYTHON FOLDER runtime|dev|bench
set -euo pipefail

python=$1 folder=$2 kind=$3
cd "$(dirname "$0")/.."

case $kind in # what benchmarks compare with has an environment of its own, without parbake
    bench) files=(requirements/bench.txt) ;;
    *) files=(requirements/{dev,runtime}.txt src/parbake_semantic/model_files.txt) ;;
esac
locks=$("$python" --version; cat "${files[@]}" scripts/venv.sh)
locks=$(sha256sum <<<"$locks")
projects=$(cat pyproject.toml assistant/pyproject.toml | sha256sum)

pip_install() { # folder, arguments
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${@:2}"
}

install_locked() { # folder, lock: every package is named, hashed and prebuilt, so nothing is resolved or compiled
    pip_install "$1" --no-deps --require-hashes --only-binary :all: -r "$2"
}

install_projects() { # editable: a change in a source file needs no reinstallation
    pip_install "$1" --no-deps --no-build-isolation --editable . --editable assistant
    echo "$projects" >"$1/.projects"
}

build() { # aside, so that an interrupted run leaves no half-made environment behind
    local aside=$folder.building
    echo "Installing the locked packages into $folder (once, a minute or two) ..."
    rm -rf "$aside"
    "$python" -m venv "$aside"
    install_locked "$aside" "requirements/$kind.txt"
    if [ "$kind" != bench ]; then
        echo "Installing the models ..."
        install_locked "$aside" src/parbake_semantic/model_files.txt
        install_projects "$aside"
    fi
    # Scripts name their interpreter by its full path: make that the final one.
    { grep -rlIF "$aside" "$aside/bin" "$aside/pyvenv.cfg" || true; } | xargs -r sed -i "s#$folder\.building#$folder#g"
    echo "$locks" >"$aside/.locks-runtime"
    [ "$kind" = runtime ] || echo "$locks" >"$aside/.locks-dev"
    rm -rf "$folder"
    mv "$aside" "$folder"
}

is_current() { [ "$(cat "$folder/$1" 2>/dev/null)" = "$2" ]; }

if ! is_current .locks-runtime "$locks"; then
    build
elif [ "$kind" = dev ] && ! is_current .locks-dev "$locks"; then
    echo "Adding the packages that tests and checks need ..."
    install_locked "$folder" requirements/dev.txt
    echo "$locks" >"$folder/.locks-dev"
fi
[ "$kind" = bench ] || is_current .projects "$projects" || install_projects "$folder"
