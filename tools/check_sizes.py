#!/usr/bin/env python3
"""Checks that sources stay small and plainly named: at most 600 lines a file (generated tables apart),
100 columns a line, no file called other, misc, utils or common, nothing unfinished.

usage: check_sizes.py [ROOT]         exit status 1 and a line for each fault
"""
import pathlib
import re
import subprocess
import sys

MAX_LINES, MAX_COLUMNS = 600, 100
FOLDERS = ("peft/", "cli/", "tests/", "examples/", "bench/", "fuzz/")
BAD_NAMES = {"other", "misc", "utils", "util", "common", "helpers"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|not implemented yet)\b|GTEST_SKIP|DISABLED_")


def faults_of(name, text):
    faults = []
    lines = text.splitlines()
    if len(lines) > MAX_LINES and "do not edit" not in "".join(lines[:5]):
        faults.append(f"{name}: {len(lines)} lines, at most {MAX_LINES}: one idea a file")
    if pathlib.Path(name).stem in BAD_NAMES:
        faults.append(f"{name}: the name says nothing; name the idea")
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            faults.append(f"{name}:{number}: unfinished: {line.strip()[:60]}")
        if len(line) > MAX_COLUMNS and "http" not in line and '"' not in line:
            faults.append(f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}")
    return faults


def main(root):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    faults = []
    for name in listed:
        if name.endswith((".h", ".cpp")) and name.startswith(FOLDERS) and (root / name).exists():
            faults += faults_of(name, (root / name).read_text())
    print("\n".join(faults) if faults else "sizes: every file is small, named and finished")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
