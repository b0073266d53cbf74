#!/usr/bin/env bash
# Measures on an NVIDIA GPU, with one command, everything that docs/gpu.md asks for, and writes bench/results/gpu.json:
#
#   bash bench/gpu/run.sh [options of bench/gpu.ts]
#
# Needs Node 20 with `npm ci` done, the NVIDIA driver for CUDA 13, and a Python with torch (built for CUDA 13) and
# torchvision: LOWRANK_ORACLE_PYTHON, else python3. What else onnxruntime needs is taken from there, or from PyPI:
#   LOWRANK_ORT_LIB   a folder with libonnxruntime and its CUDA provider; else made from onnxruntime-gpu
#   ORT_GPU_WHEEL     that wheel, where PyPI cannot be reached
# On a machine without npm or a network, a packed copy does the same: bench/gpu/pack.sh.
# `bash bench/gpu/run.sh --rehearse` runs the same code, small, on the CPU: into .bench/gpu-rehearsal.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${LOWRANK_ORACLE_PYTHON:-python3}"
version=1.30.0
cache="$PWD/.bench/gpu"
mkdir -p "$cache"
export LOWRANK_ORACLE_PYTHON="$python"

rehearse=false
for option in "$@"; do if [ "$option" = --rehearse ]; then rehearse=true; fi; done

# A packed copy (bench/gpu/pack.sh) is built, and brings Node and maybe libonnxruntime, which must lie beside its provider.
packed=false
if [ -x runtime/node ]; then
  packed=true
  if [ -d runtime/onnxruntime ]; then
    : "${LOWRANK_ORT_LIB:=$PWD/runtime/onnxruntime}"
    export LOWRANK_ORT_LIB
    for library in "$PWD"/runtime/onnxruntime/*; do [ -e "$LOWRANK_ORT_LIB/${library##*/}" ] || ln -s "$library" "$LOWRANK_ORT_LIB/"; done
  fi
fi

if [ "$rehearse" = false ]; then
  if [ -z "${LOWRANK_ORT_LIB:-}" ]; then
    folder="$cache/onnxruntime-$version"
    if [ ! -e "$folder/libonnxruntime_providers_cuda.so" ]; then
      installed=$("$python" -c 'import importlib.util as u, os; s = u.find_spec("onnxruntime"); print(os.path.join(os.path.dirname(s.origin), "capi") if s else "")')
      mkdir -p "$folder"
      if [ -n "$installed" ] && [ -e "$installed/libonnxruntime.so.$version" ] && [ -e "$installed/libonnxruntime_providers_cuda.so" ]; then
        cp "$installed"/libonnxruntime* "$folder/"
      else
        wheel="${ORT_GPU_WHEEL:-}"
        if [ -z "$wheel" ]; then
          "$python" -m pip download --quiet --no-deps --dest "$cache" "onnxruntime-gpu==$version"
          wheel=$(ls "$cache"/onnxruntime_gpu-"$version"-*.whl | head -1)
        fi
        "$python" - "$wheel" "$folder" <<'PYTHON'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if os.path.basename(name).startswith("libonnxruntime"):
            with open(os.path.join(sys.argv[2], os.path.basename(name)), "wb") as target:
                target.write(wheel.read(name))
PYTHON
      fi
    fi
    export LOWRANK_ORT_LIB="$folder"
  fi
  # torch brings cuBLAS, cuDNN and the CUDA runtime; cuRAND, which onnxruntime needs too, not always.
  libraries() {
    "$python" - "$cache/site" <<'PYTHON'
import glob, os, site, sys, sysconfig
roots = [sys.argv[1], sysconfig.get_paths()["purelib"], *site.getsitepackages()]
print(":".join(sorted({os.path.dirname(f) for r in roots for f in glob.glob(os.path.join(r, "nvidia", "**", "lib", "*.so*"), recursive=True)})))
PYTHON
  }
  if [ "$packed" = false ] && ! { ldconfig -p; ls $(libraries | tr ':' ' '); } 2>/dev/null | grep -q 'libcurand\.so\.10'; then
    "$python" -m pip install --quiet --no-deps --target "$cache/site" nvidia-curand
  fi
  export LD_LIBRARY_PATH="$(libraries)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

if [ "$packed" = true ]; then exec runtime/node dist/bench/gpu.js "$@"; fi
npm run --silent bench -- gpu "$@"
