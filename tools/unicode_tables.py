#!/usr/bin/env python3
"""Writes peft/tokenizers/unicode_tables.cpp: character classes as the `tokenizers` library sees them.

The library is linked against an Oniguruma and Rust crates of its own, whose Unicode versions differ
from one another and from this system's. So nothing is taken from the Unicode files: every class is
what the library answers for every code point.

    pip install tokenizers==0.23.3
    python3 tools/unicode_tables.py > peft/tokenizers/unicode_tables.cpp
"""

import sys

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def removed_by(pre_tokenizer):
    """Code points that a pre-tokenizer with behaviour "removed" takes out."""
    text = "".join(map(chr, CODE_POINTS))
    kept = bytearray(len(text))
    for _, (begin, end) in pre_tokenizer.pre_tokenize_str(text):
        kept[begin:end] = b"\1" * (end - begin)
    return [c for i, c in enumerate(CODE_POINTS) if not kept[i]]


def matched_by(pattern):
    return removed_by(pre_tokenizers.Split(Regex(pattern), "removed"))


def words():
    whitespace = pre_tokenizers.Whitespace()
    return [c for c in CODE_POINTS if len(whitespace.pre_tokenize_str(f"a{chr(c)}a")) == 1]


def numeric():
    digits = pre_tokenizers.Digits()
    return [c for c in CODE_POINTS if len(digits.pre_tokenize_str(f"a{chr(c)}a")) > 1]


def accents():
    kept = set(normalizers.StripAccents().normalize_str("".join(map(chr, CODE_POINTS))))
    return [c for c in CODE_POINTS if chr(c) not in kept]


def ranges(code_points):
    found = []
    for c in code_points:
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def write_ranges(name, code_points, comment):
    print(f"\n// {comment}")
    print(f"const std::vector<CodePointRange> {name} = {{")
    line = "   "
    for begin, end in ranges(code_points):
        item = f" {{0x{begin:X}, 0x{end:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


def main():
    print("// Written by tools/unicode_tables.py; do not edit.")
    print(f"// tokenizers {tokenizers.__version__}, Python {sys.version.split()[0]}.")
    print('#include "peft/tokenizers/unicode_tables.h"')
    print("\nnamespace peft::tokenizers {")
    print("// clang-format off")
    write_ranges("kLetterRanges", matched_by(r"\p{L}"), r"\p{L} of the regular expressions.")
    write_ranges("kNumberRanges", matched_by(r"\p{N}"), r"\p{N} of the regular expressions.")
    write_ranges("kMarkRanges", matched_by(r"\p{M}"), r"\p{M} of the regular expressions.")
    write_ranges("kSpaceRanges", matched_by(r"\s"), r"\s of the regular expressions.")
    write_ranges("kNumericRanges", numeric(), "Digits splits here.")
    write_ranges("kWordRanges", words(), r"\w of Whitespace and of single_word added tokens.")
    write_ranges("kPunctuationRanges", removed_by(pre_tokenizers.Punctuation("removed")),
                 "Punctuation splits here.")
    write_ranges("kAccentRanges", accents(), "StripAccents removes these.")
    print("// clang-format on")
    print("}  // namespace peft::tokenizers")


if __name__ == "__main__":
    main()
