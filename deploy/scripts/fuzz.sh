#!/usr/bin/env bash
# Runs every fuzz target of the modules for FUZZTIME each, one after the other.
set -euo pipefail
for module in "$@"; do
	(grep -rl --include="*_test.go" "^func Fuzz" "$module" || true) | while read -r file; do
		for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file"); do
			echo "fuzz $(dirname "$file") $target"
			go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" "./$(dirname "$file")"
		done
	done
done
