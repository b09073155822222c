#!/bin/sh
# The old name; see docs/migration.md. The command is looked for beside this file (or what a link to it names), then on PATH.
set -eu
file=$(readlink -f "$0" 2>/dev/null) || file=$0
here=$(cd "$(dirname "$file")/.." && pwd)
[ -x "$here/.venv/bin/orchestra-creds" ] && PATH="$here/.venv/bin:$PATH"
command -v orchestra-creds >/dev/null || {
    echo "error: orchestra-creds is not on PATH" >&2
    echo "hint: install it (README.md), or add the folder of the command to PATH" >&2
    exit 127
}
exec orchestra-creds legacy setup-secure-credentials "$@"
