#!/bin/sh
# The old name; see docs/migration.md. The command is looked for beside this file, then on PATH.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$here/.venv/bin/orchestra-creds" ] && PATH="$here/.venv/bin:$PATH"
exec orchestra-creds legacy secure-credential-manager "$@"
