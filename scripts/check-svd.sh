#!/usr/bin/env bash
# Validates the CMSIS-SVD files of all parts against the schema: scripts/check-svd.sh CMSIS-SVD.xsd. The schema is part of
# Open-CMSIS-Pack; xmllint is in Debian's libxml2-utils.
set -euo pipefail
schema=${1:?usage: scripts/check-svd.sh CMSIS-SVD.xsd}
schema=$(realpath "$schema")
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
command -v xmllint >/dev/null || { echo "check-svd: xmllint is not installed" >&2; exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
node scripts/svd.ts "$out"
xmllint --noout --schema "$schema" "$out"/*.svd
