#!/usr/bin/env python3
"""Asks onnxruntime's CUDA provider, on a machine without a GPU, which kernels it has and where it puts nodes.

usage: cuda-kernels.py table WHEEL FOLDER > src/lower/cuda/kernels.json   (then: prettier --write src/lower/cuda/kernels.json)
       cuda-kernels.py place WHEEL FOLDER [--nhwc] MODEL.onnx…
       cuda-kernels.py prepare WHEEL FOLDER

WHEEL is onnxruntime_gpu-1.30.0-cp3XX-…-manylinux_2_28_x86_64.whl of this Python's version; it and stand-ins for NVIDIA's
libraries go to FOLDER (new, or of an earlier call). Needs a C compiler, binutils' nm, and the Python packages onnx and numpy.

The provider is the real one, and so is all that it decides when a session is made: which kernels are registered, what its
GetCapability takes, what it prefers on the CPU. Only NVIDIA's libraries are replaced: memory is the CPU's, there is one
device of compute capability 9.0, and whatever would start a kernel fails (error 100, no device): nothing can be computed.
Any program sees the same with LD_LIBRARY_PATH=FOLDER/stand-in, such as
`LOWRANK_ORT_LIB=FOLDER/onnxruntime/capi lowrank-train … --device cuda`, which then names nodes on the CPU, and ends at its
first run or goes on with numbers that nothing computed (onnxruntime does not ask after each kernel). Its memory shows what leaks.

FOLDER/dry is the same, but kernels count as started: a program goes through all that the provider does on the CPU (checks of
shapes and attributes, allocation, copies, bindings), and every number that the GPU would have computed is whatever the memory
held. It shows what the provider refuses when a model runs. It is no measurement and no test of results.
"""
import collections
import json
import os
import re
import subprocess
import sys
import zipfile

CAPI = "onnxruntime/capi"
CUDA = "libonnxruntime_providers_cuda.so"
TENSORRT = "libonnxruntime_providers_tensorrt.so"
NO_DEVICE = 100

HEADER = r"""
#include <stdlib.h>
#include <string.h>
typedef struct { char name[256], uuid[16], luid[8]; unsigned mask; size_t memory, shared; int registers, warp; size_t pitch;
  int threads, dims[3], grid[3]; size_t constant; int major, minor; size_t texture[2]; int processors, others[54], threadsOfProcessor; } Properties;
"""
COPY = "{ memcpy(to, from, n); return 0; }"
TAKE = "{ return posix_memalign(p, 4096, n ? n : 1) ? 2 : 0; }"
MAKE = "{ static char one[65536]; *p = one; return 0; }"
NAME = '{ return "a stand-in for CUDA: there is no GPU"; }'
GIVE = "{ *p = %s; return 0; }"
CODE = {
    "cudaGetDeviceCount": "int NAME(int *p)" + GIVE % 1,
    "cuDeviceGetCount": "int NAME(int *p)" + GIVE % 1,
    "cudaGetDevice": "int NAME(int *p)" + GIVE % 0,
    "cudaDriverGetVersion": "int NAME(int *p)" + GIVE % 13000,
    "cuDriverGetVersion": "int NAME(int *p)" + GIVE % 13000,
    "cudaRuntimeGetVersion": "int NAME(int *p)" + GIVE % 13000,
    "cudaGetDeviceProperties": "int NAME(Properties *p, int device) { memset(p, 0, sizeof *p); p->memory = 1ull << 36;"
    " p->shared = 49152; p->registers = p->constant = 65536; p->warp = 32; p->threads = p->dims[0] = p->dims[1] = 1024;"
    " p->dims[2] = 64; p->grid[0] = 2147483647; p->grid[1] = p->grid[2] = 65535; p->major = 9; p->processors = 132; p->threadsOfProcessor = 2048; return 0; }",
    # 16 processors, 75 and 76 compute capability, 97 and 81 shared memory: `cudaDeviceAttr`.
    "cudaDeviceGetAttribute": "int NAME(int *p, int a, int device) { *p = a == 75 ? 9 : a == 76 ? 0 : a == 16 ? 132 : a == 97 ? 232448"
    " : a == 81 ? 233472 : 1; return 0; }",
    "cudaMemGetInfo": "int NAME(size_t *p, size_t *all) { *p = *all = 1ull << 36; return 0; }",
    "cudaMalloc": "int NAME(void **p, size_t n)" + TAKE,
    "cudaMallocHost": "int NAME(void **p, size_t n)" + TAKE,
    "cudaHostAlloc": "int NAME(void **p, size_t n, unsigned flags)" + TAKE,
    "cudaFree": "int NAME(void *p) { free(p); return 0; }",
    "cudaFreeHost": "int NAME(void *p) { free(p); return 0; }",
    "cudaMemcpy": "int NAME(void *to, const void *from, size_t n, int kind)" + COPY,
    "cudaMemcpyAsync": "int NAME(void *to, const void *from, size_t n, int kind, void *stream)" + COPY,
    "cudaMemset": "int NAME(void *p, int value, size_t n) { memset(p, value, n); return 0; }",
    "cudaMemsetAsync": "int NAME(void *p, int value, size_t n, void *stream) { memset(p, value, n); return 0; }",
    "cudaLaunchHostFunc": "int NAME(void *stream, void (*f)(void *), void *p) { f(p); return 0; }",
    "cudaStreamIsCapturing": "int NAME(void *stream, int *p)" + GIVE % 0,
    "cublasGetMathMode": "int NAME(void *handle, int *p)" + GIVE % 0,
    "cudaStreamEndCapture": "int NAME(void *stream, void **p)" + MAKE,
    "cudaGraphInstantiate": "int NAME(void **p)" + MAKE,
    "cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags": "int NAME(int *p)" + GIVE % 1,
    "cudnnGetReductionWorkspaceSize": "int NAME(void *handle, void *how, void *x, void *y, size_t *p)" + GIVE % 0,
    "cudnnGetReductionIndicesSize": "int NAME(void *handle, void *how, void *x, void *y, size_t *p)" + GIVE % 0,
    # One of whatever is asked for; numbers are 0 (3: int64, 9: kind of a knob, 23: int32, of `cudnnBackendAttributeType_t`).
    "cudnnBackendGetAttribute": "int NAME(void *what, int name, int type, long long n, long long *count, void *p) { if (count) *count = 1;"
    " if (p && type == 3) *(long long *)p = 0; if (p && (type == 9 || type == 23)) *(int *)p = 0; return 0; }",
    "cudnnBackendCreateDescriptor": "int NAME(int kind, void **p)" + MAKE,
    "cudnnGetVersion": "size_t NAME(void) { return 91000; }",
    "__cudaRegisterFatBinary": "void *NAME(void *binary) { static void *handle; return &handle; }",
}
CODE |= {name: "const char *NAME(int error)" + NAME for name in [
    "cudaGetErrorString", "cudaGetErrorName", "cublasGetStatusString", "cublasGetStatusName", "cudnnGetErrorString"]}
CODE |= {name: "int NAME(void **p)" + MAKE for name in [
    "cudaStreamCreate", "cudaStreamCreateWithFlags", "cudaEventCreate", "cudaEventCreateWithFlags", "cudaMemPoolCreate"]}

# get_all_opkernel_def makes a provider of each kind, TensorRT's among them, and fails without it: it gets another of CUDA's.
# `Provider` of onnxruntime (provider_interfaces.h): its first two functions make a factory, from options and from a number.
TWIN = r"""
#include <dlfcn.h>
#include <string.h>
static void *table[16], *object[8], ***real;
static void *make(void *result, void *self, int device) {
  static char options[4096];
  return ((void *(*)(void *, void *, void *))real[0][0])(result, real, options);
}
void *GetProvider(void) {
  void *library = dlopen("CUDA_LIBRARY", RTLD_NOW);
  real = ((void ***(*)(void))dlsym(library, "GetProvider"))();
  memcpy(table, real[0], sizeof(void *) * 9);
  memcpy(object, real, 16);
  table[1] = make;
  object[0] = table;
  return object;
}
"""


def compile_library(source, target, *arguments):
    command = ["cc", "-w", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", target, *arguments]
    subprocess.run(command, input=source.encode(), check=True)


def stand_in(name, launched):
    code = CODE.get(name)
    if code is None and re.match(r"(cublas|cublasLt|cudnn)\w*Create", name):
        code = "int NAME(void **p)" + MAKE
    if code is None:
        fails = "Launch" in name and "HostFunc" not in name
        code = "int NAME(void) { return %d; }" % (launched if fails else 0)
    return code.replace("NAME", name) + "\n"


def prepare(wheel, folder):
    """The wheel's files, and a library for every one of NVIDIA's that the provider names."""
    folder = os.path.abspath(folder)
    capi = os.path.join(folder, CAPI)
    if os.path.isdir(os.path.join(folder, "dry")):
        return folder
    zipfile.ZipFile(wheel).extractall(folder)
    provider = os.path.join(capi, CUDA)
    symbols = subprocess.run(["nm", "-D", "--undefined-only", provider], capture_output=True, text=True, check=True).stdout
    wanted = collections.defaultdict(list)
    for symbol in re.findall(r" U (\S+)", symbols):
        name, _, library = symbol.partition("@")
        if library.startswith("libcu"):
            wanted[library].append(name)
    drivers = ["cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceTotalMem_v2"]
    wanted["libcuda.so.1"] += [*re.findall(r" U (cu[A-Z]\w*)\n", symbols), *drivers, "cuDeviceGetAttribute", "cuGetErrorName"]
    wanted["libcurand.so.10"] = []
    # cuDNN is opened by name when it is needed: what is asked of it stands among the texts of the provider.
    texts = set(re.findall(rb"\0(cudnn[A-Z]\w+)(?=\0)", open(provider, "rb").read()))
    wanted["libcudnn.so.9"] = sorted(text.decode() for text in texts)
    for kind, launched in [("stand-in", NO_DEVICE), ("dry", 0)]:
        libraries = os.path.join(folder, kind)
        os.makedirs(libraries, exist_ok=True)
        for library, names in wanted.items():
            arguments = ["-Wl,-soname," + library]
            if library + "\n" in symbols:
                versions = os.path.join(libraries, "versions")
                open(versions, "w").write(library + " { global: *; };\n")
                arguments.append("-Wl,--version-script=" + versions)
            source = HEADER + "".join(stand_in(name, launched) for name in names)
            compile_library(source, os.path.join(libraries, library), *arguments)
    compile_library(TWIN.replace("CUDA_LIBRARY", provider), os.path.join(capi, TENSORRT), "-ldl")
    return folder


SHORT = {"float": "f32", "double": "f64", "float16": "f16", "bfloat16": "bf16", "bool": "bool", "string": "string"}
SHORT |= {f"{sign}int{bits}": f"{'u' if sign else 'i'}{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def short(types):
    inner = (re.fullmatch(r"tensor\((\w+)\)", text) for text in types)
    return sorted({SHORT[found[1]] for found in inner if found and found[1] in SHORT})


def merged(kernels):
    """Kernels that differ in the types of one parameter only become one."""
    kernels = [dict(kernel) for kernel in {tuple(sorted(kernel.items())) for kernel in kernels}]
    for parameter in sorted({name for kernel in kernels for name in kernel}):
        groups = collections.defaultdict(set)
        for kernel in kernels:
            rest = tuple(sorted((k, v) for k, v in kernel.items() if k != parameter))
            groups[rest, parameter in kernel].update(kernel.get(parameter, ()))
        kernels = [dict(rest) | ({parameter: tuple(sorted(types))} if given else {}) for (rest, given), types in groups.items()]
    return sorted(kernels, key=lambda kernel: sorted(kernel.items()))


def table():
    import onnx
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # Kept whole: a KernelDef is read from the registry that made it.
    definitions = [(k.provider, k.domain, k.op_name, tuple(k.version_range), dict(k.type_constraints)) for k in state.get_all_opkernel_def()]
    schemas = collections.defaultdict(list)
    for schema in state.get_all_operator_schema():
        schemas[schema.domain, schema.name].append(schema)
    last = 2**31 - 1

    def kernels_of(provider, domain, name, since):
        # KernelRegistry::VerifyKernelDef: a kernel without an end fits the version that it starts with, and no later one.
        found = [
            {parameter: tuple(short(types)) for parameter, types in constraints.items()}
            for where, d, n, (start, end), constraints in definitions
            if (where, d, n) == (provider, domain, name) and (start == since or (end != last and start <= since <= end))
        ]
        return [kernel for kernel in found if all(kernel.values())]  # those of 4- and 8-bit floats are left out

    def is_inlined(domain, schema):
        # A function that no provider has a kernel for is replaced by its body.
        if domain != "" or kernels_of("CPUExecutionProvider", domain, schema.name, schema.since_version):
            return False
        try:
            known = onnx.defs.get_schema(schema.name, schema.since_version)
        except onnx.defs.SchemaError:
            return False
        return known.has_function or known.has_context_dependent_function

    known = {(d, n) for where, d, n, _, _ in definitions if where == "CUDAExecutionProvider"}
    operators, inlined = {}, []
    for domain, name in sorted(schemas):
        if domain not in ("", "com.microsoft"):
            continue
        versions = []
        for schema in sorted(schemas[domain, name], key=lambda schema: schema.since_version):
            if domain == "" and schema.since_version > onnx.defs.onnx_opset_version():
                continue
            since = schema.since_version
            kernels = kernels_of("CUDAExecutionProvider", domain, name, since)
            if not kernels and is_inlined(domain, schema):
                inlined.append(name)
            entry = {"kernels": [{k: " ".join(v) for k, v in kernel.items()} for kernel in merged(kernels)]}
            if kernels:
                used = {parameter for kernel in kernels for parameter in kernel}
                key = lambda value: value.typeStr if value.typeStr in used else value.name if value.name in used else ""
                entry |= {"in": " ".join(key(v) or "-" for v in schema.inputs), "out": " ".join(key(v) or "-" for v in schema.outputs)}
            if not versions or {k: v for k, v in versions[-1].items() if k != "since"} != entry:
                versions.append({"since": since, **entry})
        if (domain, name) in known:
            operators[f"{domain}.{name}" if domain else name] = versions
    nhwc = sorted(n for d, n in known if d == "com.ms.internal.nhwc")
    json.dump({"onnxruntime": onnxruntime.__version__, "inlined": sorted(set(inlined)), "nhwc": nhwc, "operators": operators}, sys.stdout, separators=(",", ":"))


def place(models):
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    cuda = {"prefer_nhwc": "1" if "--nhwc" in models else "0"}
    for model in (model for model in models if model != "--nhwc"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[("CUDAExecutionProvider", cuda), "CPUExecutionProvider"])
        except Exception as error:
            print(f"{model}: {str(error)[:200]}")
            continue
        nodes = [(part.ep_name, node) for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()]
        cpu = [f"{node.op_type} '{node.name}'" for provider, node in nodes if provider == "CPUExecutionProvider"]
        print(f"{model}: {len(cpu)} of {len(nodes)} nodes on the CPU{': ' if cpu else ''}{', '.join(cpu)}")


if len(sys.argv) < 4 or sys.argv[1] not in ("table", "place", "prepare"):
    sys.exit(__doc__)
folder = prepare(sys.argv[2], sys.argv[3])
if sys.argv[1] == "prepare":
    sys.exit()
libraries = os.path.join(folder, "stand-in")
if libraries not in os.environ.get("LD_LIBRARY_PATH", "").split(":"):  # the loader reads it when a program starts
    os.environ["LD_LIBRARY_PATH"] = libraries
    os.execv(sys.executable, [sys.executable, *sys.argv])
sys.path.insert(0, folder)
table() if sys.argv[1] == "table" else place(sys.argv[4:])
