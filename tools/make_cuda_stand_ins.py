#!/usr/bin/env python3
"""Make do-nothing stand-ins for the CUDA libraries that PyPI's torch wheel asks the loader for.

usage: tools/make_cuda_stand_ins.py TORCH_DIR OUT_DIR

`import torch` of the Linux wheel loads libtorch_cuda.so, which names two gigabytes of NVIDIA's
libraries. The Python side of the interop tests computes on the processor alone, so empty libraries of
the same names, with the same symbols and symbol versions, let it start. Every function of the CUDA
run time answers 100 (no device), the others 999, and those that name an error give a text. Never use them where there is a GPU.

Needs gcc and binutils. OUT_DIR goes into LD_LIBRARY_PATH.
"""

import re
import subprocess
import sys
from pathlib import Path

# Which library a symbol without a version belongs to, by how its name begins; longer names first.
HOMES = (("cublasLt", "libcublasLt"), ("cublas", "libcublas"), ("cudnn", "libcudnn"),
         ("nccl", "libnccl"), ("cusparseLt", "libcusparseLt"), ("cusparse", "libcusparse"),
         ("cufft", "libcufft"), ("curand", "libcurand"), ("cusolver", "libcusolver"),
         ("cuFile", "libcufile"), ("nvshmem", "libnvshmem_host"), ("nvrtc", "libnvrtc"),
         ("nvJitLink", "libnvJitLink"), ("cupti", "libcupti"), ("cuda", "libcudart"))
STEMS = {stem for _, stem in HOMES}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def is_cuda(library):
    return library.split(".so")[0] in STEMS


def needed_by(binary):
    names = re.findall(r"Shared library: \[(\S+?)\]", output_of("readelf", "-dW", binary))
    return [name for name in names if is_cuda(name)]


def version_files(binary):
    """Version name -> the library that has to define it."""
    files, current = {}, None
    for line in output_of("readelf", "-VW", binary).splitlines():
        if found := re.search(r"File: (\S+)", line):
            current = found[1]
        elif (found := re.search(r"Name: (\S+)", line)) and current:
            files[found[1]] = current
    return files


def undefined_symbols(binary):
    for line in output_of("nm", "-D", "--undefined-only", binary).splitlines():
        symbol, _, version = line.split()[-1].partition("@")
        yield symbol, version.lstrip("@") or None


def home_of(symbol, version, versions, needed):
    if version:
        return versions.get(version)
    for prefix, stem in HOMES:
        if symbol.startswith(prefix):
            for library in needed:
                if library.split(".so")[0] == stem:
                    return library
    return None


def survey(folder):
    """Library -> {symbol: version or None} over every binary of the wheel."""
    wanted = {}
    for binary in sorted(folder.glob("lib*.so")):
        needed, versions = needed_by(binary), version_files(binary)
        for library in needed:
            wanted.setdefault(library, {})
        for symbol, version in undefined_symbols(binary):
            home = home_of(symbol, version, versions, needed)
            if home and is_cuda(home):
                wanted.setdefault(home, {})[symbol] = version
    return wanted


def definition(symbol):
    if re.search(r"Get(Error|LastError|Status)(String|Name)$", symbol):
        return f'const char* {symbol}(void) {{ return "no CUDA device"; }}'
    return f"int {symbol}(void) {{ return {100 if symbol.startswith('cuda') else 999}; }}"


def build(library, symbols, out):
    source, script = out / "stand_in.c", out / "stand_in.map"
    lines = ["int peft_cuda_stand_in;"]
    for symbol in sorted(symbols):
        lines.append(definition(symbol))
    source.write_text("\n".join(lines) + "\n")
    command = ["gcc", "-w", "-shared", "-fPIC", str(source), f"-Wl,-soname,{library}",
               "-o", str(out / library)]
    versions = sorted({version for version in symbols.values() if version})
    if versions:
        script.write_text("".join(
            f"{version} {{ global: "
            + " ".join(f"{s};" for s in sorted(symbols) if symbols[s] == version) + " };\n"
            for version in versions))
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, check=True)
    source.unlink()
    script.unlink(missing_ok=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    wanted = survey(Path(sys.argv[1]) / "lib")
    for library, symbols in sorted(wanted.items()):
        build(library, symbols, out)
    print(f"{len(wanted)} stand-ins in {out}: {' '.join(sorted(wanted))}")


if __name__ == "__main__":
    main()
