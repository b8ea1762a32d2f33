#!/usr/bin/env python3
"""Checks the sources' layout with clang-format 14, the version that Debian 12 has.

usage: check_format.py [--fix] [ROOT]     exit status 1 and the names of the files that differ
"""
import pathlib
import shutil
import subprocess
import sys


def main(arguments):
    fix = "--fix" in arguments
    rest = [a for a in arguments if a != "--fix"]
    root = pathlib.Path(rest[0] if rest else ".").resolve()
    if shutil.which("clang-format") is None:
        print("format: clang-format is missing. Install it: apt-get install clang-format")
        return 1
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cpp"], cwd=root, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    files = [name for name in listed if (root / name).exists()]
    command = ["clang-format", "-i"] if fix else ["clang-format", "--dry-run", "--Werror"]
    done = subprocess.run(command + files, cwd=root, capture_output=True, text=True)
    bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    print("\n".join(f"{name}: run tools/check_format.py --fix" for name in bad)
          if bad else f"format: {len(files)} files as .clang-format says")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
