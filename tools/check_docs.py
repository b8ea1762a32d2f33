#!/usr/bin/env python3
"""Checks the documents: relative links lead to files, README.md is short, and its Chinese
translation has the same commands, code and links.

usage: check_docs.py [ROOT]          exit status 1 and a line for each fault
"""
import pathlib
import re
import sys

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
README_LINES = 150


def without_comments(code):
    return re.sub(r"\s*(#|//) .*", "", code)


def faults_of(root):
    faults = []
    pages = [root / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    pages += sorted((root / "docs").rglob("*.md")) + sorted((root / "peft").rglob("*.md"))
    for page in pages:
        if not page.exists():
            faults.append(f"{page.name}: is missing")
            continue
        for target in LINK.findall(page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                faults.append(f"{page.relative_to(root)}: the link to {target} leads nowhere")
    if faults:
        return faults
    english, chinese = pages[0].read_text(), pages[1].read_text()
    if len(english.splitlines()) > README_LINES:
        faults.append(f"README.md: {len(english.splitlines())} lines, at most {README_LINES}")
    if english.count("\n## ") != chinese.count("\n## "):
        faults.append("README.zh-CN.md: other headings than README.md")
    ours = [without_comments(code) for _, code in BLOCK.findall(english)]
    theirs = [without_comments(code) for _, code in BLOCK.findall(chinese)]
    if ours != theirs:
        faults.append("README.zh-CN.md: its code blocks differ from README.md's")
    return faults


def main(root):
    faults = faults_of(root)
    print("\n".join(faults) if faults else "docs: links lead somewhere, the translation is in step")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
