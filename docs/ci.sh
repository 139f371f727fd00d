#!/bin/sh
# Reaches a resource from a CI job, and leaves the machine as it was; ci.md, next to this file, explains it.
# Usage: printf %s "$TOKEN" | sh ci.sh RESOURCE URL
set -eu
folder=$(mktemp -d)
export FZ_CONFIG_DIR="$folder/config" FZ_STATE_DIR="$folder/state" FZ_RUNTIME_DIR="$folder/run"

finish() {
  code=$?
  trap - EXIT
  [ "$code" -eq 0 ] || { fz log --last 20; fz doctor; } >&2 || true
  fz down >&2 || true
  fz sign-out --force >&2 || true
  rm -rf "$folder"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fz sign-in --token-stdin
fz up --wait "$1" --timeout "${FZ_CI_TIMEOUT:-60s}"
curl --fail --silent --show-error --max-time 60 "$2" || exit 20
status=$(fz status --json)
echo "$status" | jq -r '.gateways[] | "by gateway \(.id) of \(.siteName), \(.path.kind)"'
