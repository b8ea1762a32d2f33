#!/usr/bin/env python3
"""Writes peft/tokenizers/unicode_tables.cpp and unicode_removed.cpp, the character classes as the
`tokenizers` library sees them, and unicode_exceptions.cpp beside them, where it and utf8proc differ.

The library is linked against an Oniguruma and Rust crates of its own, whose Unicode versions differ
from one another and from this system's. So nothing is taken from the Unicode files: every class is
what the library answers for every code point.

    pip install tokenizers==0.23.3      (and Debian's libutf8proc2)
    python3 tools/unicode_tables.py
"""

import contextlib
import ctypes
import ctypes.util
import pathlib
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


def removed_by_bert(**options):
    """Code points that BertNormalizer takes out of a text."""
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    normalizer = normalizers.BertNormalizer(**(off | options))
    return [c for c in CODE_POINTS if not normalizer.normalize_str(chr(c))]


class Utf8proc:
    """The system's utf8proc, as peft/tokenizers/normalizers/unicode_forms.cpp uses it."""

    DECOMPOSE, COMPAT = 1 << 4, 1 << 2

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
        self.lib.utf8proc_decompose_char.restype = ctypes.c_ssize_t
        self.lib.utf8proc_version.restype = ctypes.c_char_p
        self.lib.utf8proc_get_property.restype = ctypes.POINTER(ctypes.c_int16)
        self.version = self.lib.utf8proc_version().decode()

    def decompose(self, c, compatible):
        to, boundary = (ctypes.c_int32 * 32)(), ctypes.c_int(0)
        options = self.DECOMPOSE | (self.COMPAT if compatible else 0)
        n = self.lib.utf8proc_decompose_char(
            ctypes.c_int32(c), to, ctypes.c_ssize_t(32), ctypes.c_int(options),
            ctypes.byref(boundary))
        return "".join(map(chr, to[:n])) if n > 0 else chr(c)

    def combining_class(self, c):
        return self.lib.utf8proc_get_property(ctypes.c_int32(c))[1]

    def lower(self, c):
        return self.lib.utf8proc_tolower(ctypes.c_int32(c))


def decomposition_exceptions(utf8proc, normalizer, compatible):
    found = []
    for c in CODE_POINTS:
        theirs = normalizer.normalize_str(chr(c))
        if theirs == utf8proc.decompose(c, compatible):
            continue
        if theirs != chr(c):
            sys.exit(f"U+{c:X} decomposes in another way; a list of exceptions cannot say so")
        found.append(c)
    return found


def unordered_marks(utf8proc):
    """Marks of a class above 1 that do not go behind U+0334, whose class is 1."""
    nfd = normalizers.NFD()
    marks = [c for c in CODE_POINTS if utf8proc.combining_class(c) > 1]
    return [c for c in marks if nfd.normalize_str(f"a{chr(c)}\u0334") == f"a{chr(c)}\u0334"]


def lower_exceptions(utf8proc):
    lowercase = normalizers.Lowercase()
    found = []
    for c in CODE_POINTS:
        theirs = lowercase.normalize_str(chr(c))
        if c == 0x130 or ord(theirs) == utf8proc.lower(c):  # U+0130 becomes two: in the code
            continue
        found.append((c, ord(theirs)))
    return found


def ranges(code_points):
    found = []
    for c in code_points:
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def write_list(kind, name, items, comment):
    print(f"\n// {comment}")
    print(f"const std::vector<{kind}> {name} = {{")
    line = "   "
    for item in items:
        item = f" {item},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


def write_pairs(name, pairs, comment):
    items = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in pairs]
    write_list("CodePointRange", name, items, comment)


def write_ranges(name, code_points, comment):
    write_pairs(name, ranges(code_points), comment)


def write_code_points(name, code_points, comment):
    write_list("char32_t", name, [f"0x{c:X}" for c in code_points], comment)


@contextlib.contextmanager
def source_file(name, utf8proc):
    path = pathlib.Path(__file__).resolve().parents[1] / "peft/tokenizers" / name
    with open(path, "w") as file, contextlib.redirect_stdout(file):
        print("// Written by tools/unicode_tables.py; do not edit.")
        print(f"// tokenizers {tokenizers.__version__}, utf8proc {utf8proc.version}.")
        print('#include "peft/tokenizers/unicode_tables.h"')
        print("\nnamespace peft::tokenizers {")
        print("// clang-format off")
        yield
        print("// clang-format on")
        print("}  // namespace peft::tokenizers")


def write_classes():
    write_ranges("kLetterRanges", matched_by(r"\p{L}"), r"\p{L} of the regular expressions.")
    write_ranges("kNumberRanges", matched_by(r"\p{N}"), r"\p{N} of the regular expressions.")
    write_ranges("kMarkRanges", matched_by(r"\p{M}"), r"\p{M} of the regular expressions.")
    write_ranges("kSpaceRanges", matched_by(r"\s"), r"\s of the regular expressions.")
    write_ranges("kNumericRanges", numeric(), "Digits splits here.")
    write_ranges("kWordRanges", words(), r"\w of Whitespace and of single_word added tokens.")
    write_ranges("kPunctuationRanges", removed_by(pre_tokenizers.Punctuation("removed")),
                 "Punctuation splits here.")


def write_removed():
    write_ranges("kAccentRanges", accents(), "StripAccents removes these.")
    write_ranges("kNonspacingRanges", removed_by_bert(strip_accents=True),
                 "BertNormalizer removes these as accents.")
    write_ranges("kInvisibleRanges", removed_by_bert(clean_text=True),
                 "BertNormalizer removes these as no text.")


def write_exceptions(utf8proc):
    nfd, nfkd = normalizers.NFD(), normalizers.NFKD()
    write_code_points("kCanonicalExceptions", decomposition_exceptions(utf8proc, nfd, False),
                      "Not decomposed by NFC and NFD.")
    write_code_points("kCompatibleExceptions", decomposition_exceptions(utf8proc, nfkd, True),
                      "Not decomposed by NFKC and NFKD.")
    write_code_points("kUnorderedMarks", unordered_marks(utf8proc), "Marks without an order.")
    write_pairs("kLowerExceptions", lower_exceptions(utf8proc), "Letter, its lower case.")


def main():
    utf8proc = Utf8proc()
    with source_file("unicode_tables.cpp", utf8proc):
        write_classes()
    with source_file("unicode_removed.cpp", utf8proc):
        write_removed()
    with source_file("unicode_exceptions.cpp", utf8proc):
        write_exceptions(utf8proc)


if __name__ == "__main__":
    main()
