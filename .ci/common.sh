# What the stages share; each is run in the root of a checkout, or of a copy of one, and makes its
# environments in $WORK, which whoever asks for the stage takes away.
set -euo pipefail
exec </dev/null
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# Without bytecode, each process that a test starts would compile the package for half a second.
unset PYTHONPATH VIRTUAL_ENV PYTHONDONTWRITEBYTECODE
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z ${WORK:-} ]]; then
  WORK=$(mktemp -d)
  export WORK
  trap 'rm -rf "$WORK"' EXIT
fi

stage() {
  printf '\n== %s (%ss)\n' "$1" "$SECONDS"
}

# environment NAME REQUIREMENT...: an environment of that name, with what is asked for.
environment() {
  local name=$1
  shift
  [[ -d $WORK/$name ]] || python3 -m venv "$WORK/$name"
  "$WORK/$name/bin/pip" install -q "$@"
}
