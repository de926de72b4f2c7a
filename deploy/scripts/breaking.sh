#!/usr/bin/env bash
# Compares the contracts with those of the commit before: what breaks a client on the wire or in JSON fails.
set -euo pipefail
buf=$1
git rev-parse -q --verify HEAD~1 >/dev/null || { echo "breaking: no commit to compare with"; exit 0; }
git cat-file -e HEAD~1:buf.yaml 2>/dev/null || { echo "breaking: the commit before has no contracts"; exit 0; }
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive HEAD~1 | tar -x -C "$before"
cp -r proto/third_party "$before/proto/"
"$buf" breaking --against "$before"
