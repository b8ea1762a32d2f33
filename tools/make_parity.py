#!/usr/bin/env python3
"""Writes docs/parity.md from docs/parity.tsv and docs/differences.tsv, or checks that it is current.

docs/parity.tsv has one line a name of Python PEFT: the name, its mark, where it is here or why it is not.
docs/differences.tsv has one line a case in which this library answers otherwise: where, Python, here.

usage: make_parity.py [--check] [ROOT]     exit status 1 and a line for each fault
"""
import json
import pathlib
import re
import sys

MARKS = {
    "works": "the same name, the same behaviour",
    "other form": "served in the form that the last column gives",
    "not yet": "the last column names the issue",
    "works, unverified": "written, and not proved: no device was there",
}
GROUPS = {
    "PeftModel": "PeftModel",
    "LoraModel": "LoraModel, reached through PeftModel",
    "peft": "peft.\\_\\_all\\_\\_",
}
INTRODUCTION = """\
# Parity with Python PEFT 0.21.2

Made by `tools/make_parity.py` from `docs/parity.tsv` and `docs/differences.tsv`: change those, then
run it. A test holds the names against Python's own.

"""


def rows(path, columns):
    """The lines of a table as lists of `columns` texts; a fault is an exception."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) != columns:
            raise ValueError(f"{path.name}:{number}: expected {columns} columns, got {len(parts)}")
        found.append(parts)
    return found


def page(root):
    names = rows(root / "docs/parity.tsv", 3)
    text = INTRODUCTION + "| mark | names | meaning |\n|---|---|---|\n"
    for mark, meaning in MARKS.items():
        text += f"| {mark} | {sum(row[1] == mark for row in names)} | {meaning} |\n"
    for group, title in GROUPS.items():
        text += f"\n## {title}\n\n| name | mark | where, or why not |\n|---|---|---|\n"
        for name, mark, where in names:
            if name.startswith(group + "."):
                text += f"| `{name.removeprefix(group + '.')}` | {mark} | {cell(where)} |\n"
    text += "\n## Where the answer differs\n\n"
    text += "What decides the meaning of a file or a config is followed, with a warning; what would lose\n"
    text += "data or skip an adapter in silence is an error.\n\n"
    text += "| where | Python | here |\n|---|---|---|\n"
    for row in rows(root / "docs/differences.tsv", 3):
        text += "| " + " | ".join(cell(part) for part in row) + " |\n"
    return text


def cell(text):
    return text.replace("|", "\\|")


def declared_words(root):
    """Every identifier in the headers that a program may include."""
    words = set()
    for header in (root / "peft").rglob("*.h"):
        words.update(re.findall(r"\w+", header.read_text()))
    return words


def faults_of(root):
    try:
        names = rows(root / "docs/parity.tsv", 3)
        current = page(root)
    except ValueError as fault:
        return [str(fault)]
    faults = []
    python = json.loads((root / "tests/tools/golden/python_names.json").read_text())
    expected = [f"{group}.{name}" for group in GROUPS for name in python[group]]
    listed = [name for name, _, _ in names]
    faults += [f"parity.tsv: {name} is missing" for name in expected if name not in listed]
    faults += [f"parity.tsv: {name} is not a name of Python PEFT" for name in listed if name not in expected]
    faults += [f"parity.tsv: {name} is there twice" for name in set(listed) if listed.count(name) > 1]
    words = declared_words(root)
    for name, mark, where in names:
        faults += faults_of_row(name, mark, where, words)
    if (root / "docs/parity.md").read_text() != current:
        faults.append("docs/parity.md: is not what the tables give; run tools/make_parity.py")
    return faults


def faults_of_row(name, mark, where, words):
    if mark not in MARKS:
        return [f"parity.tsv: {name}: expected a mark of {list(MARKS)}, got '{mark}'"]
    if mark == "not yet":
        return [] if "issue" in where else [f"parity.tsv: {name}: expected the issue, got '{where}'"]
    # What is said to be there is spelled in backquotes; each of its words is declared in a header.
    spelled = re.findall(r"`([^`]+)`", where)
    if not spelled:
        return [f"parity.tsv: {name}: expected the C++ name in backquotes, got '{where}'"]
    missing = [word for text in spelled for word in re.findall(r"[A-Za-z_]\w*", text) if word not in words]
    return [f"parity.tsv: {name}: no header declares '{word}'" for word in missing]


def main(arguments):
    check = "--check" in arguments
    places = [argument for argument in arguments if not argument.startswith("--")]
    root = pathlib.Path(places[0] if places else ".").resolve()
    if not check:
        (root / "docs/parity.md").write_text(page(root))
    faults = faults_of(root)
    print("\n".join(faults) if faults else "parity: every name of Python PEFT has its mark")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
