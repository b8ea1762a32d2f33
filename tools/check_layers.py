#!/usr/bin/env python3
"""Checks every #include line of the library and the program against .ci/layers.txt.

usage: check_layers.py [ROOT]        exit status 1 and a line for each wrong edge
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read_layers(path):
    layers = {}
    for line in path.read_text().splitlines():
        line = line.split("#")[0]
        if ":" in line:
            room, allowed = line.split(":")
            layers[room.strip()] = allowed.split()
    return layers, layers.pop("torch-free", [])


def room_of(path, rooms):
    """The room with the longest name that holds the file; front-door files belong to `peft`."""
    folder = path.rsplit("/", 1)[0]
    fitting = [room for room in rooms if folder == room or folder.startswith(room + "/")]
    room = max(fitting, key=len, default=None)
    return None if room == "peft" and folder != "peft" else room


def method_of(path):
    """peft/methods/lora/x.h -> lora: one method never includes another."""
    parts = path.split("/")
    return parts[2] if parts[:2] == ["peft", "methods"] and len(parts) > 3 else None


def faults_of(path, text, layers, torch_free):
    room = room_of(path, layers)
    if room is None:
        return [f"{path}: lies in no room that .ci/layers.txt names"]
    faults = []
    for bracket, target in INCLUDE.findall(text):
        is_torch = target.startswith(("torch/", "ATen/", "c10/"))
        if is_torch and room in torch_free:
            faults.append(f"{path}: includes {target}, but {room} sees no torch")
        if bracket == "<" and target.startswith("torch/torch.h") and path.endswith(".h"):
            faults.append(f"{path}: a header includes torch/torch.h; name the part that it needs")
        other = room_of(target, layers) if target.startswith(("peft/", "cli/")) else None
        if other and other != room and other not in layers[room]:
            faults.append(f"{path}: includes {target}, but {room} may not include {other}")
        if method_of(path) and method_of(target) and method_of(path) != method_of(target):
            faults.append(f"{path}: includes {target}, a file of another method")
    return faults


def main(root):
    layers, torch_free = read_layers(root / ".ci/layers.txt")
    faults = []
    for folder in ("peft", "cli"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in (".h", ".cpp"):
                name = file.relative_to(root).as_posix()
                faults += faults_of(name, file.read_text(), layers, torch_free)
    print("\n".join(faults) if faults else "layers: every include goes down")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
