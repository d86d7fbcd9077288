#!/bin/sh
# Says in one line what this machine lacks, before anything is downloaded.
# usage: preflight.sh PYTHON
python=$1
missing=""

need() { missing="$missing $1"; }

command -v git >/dev/null 2>&1 || need git
if ! command -v "$python" >/dev/null 2>&1; then
    need "python3 python3-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "$python is $("$python" --version 2>&1); parbake needs Python 3.11 or newer (choose one with PYTHON=)." >&2
    exit 1
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    need python3-venv
fi
# lightgbm, implicit and xllamacpp link the system's OpenMP runtime; none of them carries it.
if ! { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -q 'libgomp\.so\.1'; then
    need libgomp1
fi

[ -z "$missing" ] && exit 0
echo "Some system packages are missing. Install them with:  sudo apt-get install -y$missing" >&2
exit 1
