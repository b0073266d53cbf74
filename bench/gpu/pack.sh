#!/usr/bin/env bash
# Packs what bench/gpu/run.sh needs into one file, for a GPU machine (Linux, x64) without npm or a network:
#
#   bash bench/gpu/pack.sh FILE.tar.xz [FOLDER WITH libonnxruntime]
#
# and there, with onnxruntime's CUDA provider in the folder that LOWRANK_ORT_LIB names, and a Python with torch:
#
#   tar -xJf FILE.tar.xz && LOWRANK_ORT_LIB=… bash lowrank/bench/gpu/run.sh [options]
#
# Node, the built project and its packages go in; of the FOLDER libonnxruntime and libonnxruntime_providers_shared, which are
# then found in lowrank/runtime/onnxruntime, so that only libonnxruntime_providers_cuda.so (large) has to be brought there.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2; }
file=$(realpath -m "$1")
mkdir -p "$(dirname "$file")"
libraries="${2:+$(realpath "$2")}"
cd "$(dirname "$0")/../.."
npm run --silent build
node node_modules/typescript/bin/tsc -p tsconfig.bench.json
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root="$folder/lowrank"
mkdir -p "$root/runtime" "$root/bench/results"
cp "$(node -p process.execPath)" "$root/runtime/node"
strip "$root/runtime/node" 2>/dev/null || true
cp -r package.json bin dist "$root/"
cp -r bench/gpu bench/support "$root/bench/"
# Packages that run, without what other systems need and what onnxruntime's wheel brings.
npm ls --omit=dev --all --parseable 2>/dev/null | sed -n 's#^.*/node_modules/#node_modules/#p' | sort -u | while read -r package; do
  mkdir -p "$root/$(dirname "$package")"
  cp -rL "$package" "$root/$(dirname "$package")/"
done
rm -rf "$root"/node_modules/onnxruntime-node/bin/napi-v6/{darwin,win32,linux}
find "$root/node_modules" "$root/dist" \( -name '*.map' -o -name '*.md' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
if [ -n "$libraries" ]; then
  mkdir -p "$root/runtime/onnxruntime"
  cp -L "$libraries"/libonnxruntime.so* "$libraries"/libonnxruntime_providers_shared.so "$root/runtime/onnxruntime/"
fi
tar -C "$folder" -cf - lowrank | xz -6 -T0 > "$file"
du -h "$file" | sed 's#\t.*##; s#^#packed: #'
