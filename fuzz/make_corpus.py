"""Makes the seeds in corpus/{safetensors,torch_file,gguf,sentencepiece}/, and of corpus/tokenizer/ the
vocabularies of GGUF files and the models of encoders: small whole files and files that once were attacks.

A pure function of this script; run it with any Python 3.
"""
import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus"


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(values=(), tensors=(), data=b"", version=3, counts=None):
    number = counts or (len(tensors), len(values))
    out = b"GGUF" + struct.pack("<IQQ", version, *number) + b"".join(values) + b"".join(tensors)
    return out + b"\0" * (-len(out) % 32) + data


def value(key, kind, payload):
    return string(key) + struct.pack("<I", kind) + payload


def info(name, shape, kind, offset):
    return string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)


SAFETENSORS = {
    "empty": b"",
    "no_tensors": safetensors({}),
    "two": safetensors({"__metadata__": {"format": "pt"}, "a": tensor("F32", [2], 0, 8), "b": tensor("BF16", [1, 3], 8, 14)}, b"x" * 14),
    "huge_header": b"\xff" * 8 + b"{}",
    "cut_header": struct.pack("<Q", 1000) + b"{}",
    "overlap": safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, b"x" * 6),
    "hole": safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 5, 9)}, b"x" * 9),
    "overflow": safetensors({"a": tensor("F64", [2**61 + 1], 0, 8)}, b"x" * 8),
    "overflow_product": safetensors({"a": tensor("F32", [2**32, 2**32], 0, 8)}, b"x" * 8),
    "negative": safetensors({"a": tensor("F32", [-1], 0, 8)}, b"x" * 8),
    "wide_offsets": safetensors({"a": tensor("F32", [2], 2**63, 2**63 + 8)}, b"x" * 8),
    "duplicate": safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "deep": safetensors(b"[" * 5000),
    "deep_metadata": safetensors(b'{"__metadata__":' + b'{"a":' * 2000 + b"1" + b"}" * 2001),
    "not_utf8": safetensors(b'{"\xff\xfe":1}'),
    "half_byte": safetensors({"a": tensor("F4", [3], 0, 2)}, b"xx"),
}


def archive(files, lies=None):
    """A ZIP archive of stored files; lies: fields of the first directory entry that are not true."""
    out, directory, lies = b"", b"", lies or {}
    for name, data in files.items():
        field = {"flags": 0, "method": 0, "packed": len(data), "size": len(data), "local": len(out), "extra": b""}
        field |= lies if name == next(iter(files)) else {}
        start = struct.pack("<HHHIIII", 20, field["flags"], field["method"], 0, 0, field["packed"], field["size"])
        lengths = struct.pack("<HH", len(name), len(field["extra"]))
        directory += b"PK\1\2\x14\0" + start + lengths + bytes(10) + struct.pack("<I", field["local"]) + name.encode() + field["extra"]
        out += b"PK\3\4" + start + struct.pack("<HH", len(name), 0) + name.encode() + data
    return out + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(out), 0)


def wide(file, count, begin, size):
    """The same archive with its end said in 64 bits."""
    end64 = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, begin)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, len(file) - 22, 1)
    return file[:-22] + end64 + locator + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)


def pickled(value):
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value)) + value.encode()
    if isinstance(value, int):
        return b"\x8a\x08" + struct.pack("<q", value)
    return b"(" + b"".join(map(pickled, value)) + b"t"


def dense(shape=(2, 3), stride=(3, 1), offset=0, count=6, kind=b"ctorch\nFloatStorage\n", key="0", rest=b"", build=b"_rebuild_tensor_v2"):
    storage = b"(" + pickled("storage") + kind + pickled(key) + pickled("cpu") + pickled(count) + b"tQ"
    return (b"ctorch._utils\n" + build + b"\n(" + storage + pickled(offset) + pickled(shape) + pickled(stride)
            + b"\x89ccollections\nOrderedDict\n)R" + rest + b"tR")


def saved(value, lies=None):
    return archive({"a/data.pkl": b"\x80\x02}" + pickled("w") + value + b"s.", "a/byteorder": b"little", "a/data/0": b"x" * 24}, lies)


GOOD = saved(dense())
TORCH_FILE = {
    "empty": b"",
    "good": GOOD,
    "untyped": saved(dense((24,), (1,), 0, 24, b"ctorch.storage\nUntypedStorage\n", rest=b"ctorch\nfloat8_e4m3fn\n", build=b"_rebuild_tensor_v3")),
    "parameter": saved(b"ctorch._utils\n_rebuild_parameter\n(" + dense() + b"\x88ccollections\nOrderedDict\n)RtR"),
    "wide_end": wide(GOOD, 3, GOOD.index(b"PK\1\2"), len(GOOD) - 22 - GOOD.index(b"PK\1\2")),
    "wide_end_past_the_end": wide(GOOD, 2**63, 2**64 - 1, 2**64 - 1),
    "wide_entry": saved(dense(), {"size": 2**32 - 1, "packed": 2**32 - 1, "extra": struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1)}),
    "wide_entry_cut": saved(dense(), {"size": 2**32 - 1, "extra": struct.pack("<HHI", 1, 4, 0)}),
    "long_extra": saved(dense(), {"extra": struct.pack("<HH", 1, 0xFFFF)}),
    "compressed": saved(dense(), {"method": 8}),
    "two_sizes": saved(dense(), {"packed": 3}),
    "past_the_end": saved(dense(), {"packed": 2**31, "size": 2**31}),
    "local_past_the_end": saved(dense(), {"local": 2**32 - 2}),
    "comment": GOOD[:-2] + struct.pack("<H", 5) + b"PK\5\6x",
    "negative_shape": saved(dense((-2, 3))),
    "huge_stride": saved(dense(stride=(2**63 - 1, 2**63 - 1))),
    "huge_offset": saved(dense(offset=2**63 - 1)),
    "huge_shape": saved(dense((2**40, 2**40), (0, 0))),
    "huge_shape_with_zero": saved(dense((0, 2**40, 2**40), (1, 1, 1))),
    "huge_storage": saved(dense(count=2**63 - 1)),
    "no_storage": saved(dense(key="../../etc/passwd")),
    "no_dimensions": saved(dense((), (), 5)),
    "few_arguments": saved(b"ctorch._utils\n_rebuild_tensor_v2\n(tR"),
    "call_of_a_call": saved(b"ctorch._utils\n_rebuild_tensor_v2\n)R)R"),
    "parameter_of_itself": saved(b"]q\0ctorch._utils\n_rebuild_parameter\n(h\0tRa"),
    "system": saved(b"cposix\nsystem\n(" + pickled("true") + b"tR"),
    "pickle_long_text": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
    "pickle_deep": b"\x80\x02]" + b"\x85" * 5000 + b".",
    "pickle_of_itself": b"\x80\x02]q\0h\0a}q\1h\0h\1s.",
    "pickle_marks": b"\x80\x02" + b"(" * 3000 + b"t" * 3000 + b".",
    "pickle_opcodes": b"\x80\x04\x95" + bytes(8) + b"N\x88\x89K\1M\1\1J\1\1\1\1G" + bytes(8) + b"\x8c\1a\x94h\0](e(tb\x87.",
}

U32, STRING, LIST = 4, 8, 9
ARCHITECTURE = value("general.architecture", STRING, string("llama"))
GGUF = {
    "empty": b"",
    "no_tensors": gguf(),
    "vocabulary": gguf([ARCHITECTURE, value("tokenizer.ggml.tokens", LIST, struct.pack("<IQ", STRING, 2) + string("a") + string("b")),
                        value("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 1))]),
    "every_type": gguf([value(f"k{kind}", kind, b"\1" * size) for kind, size in
                        {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}.items()]),
    "tensors": gguf([ARCHITECTURE], [info("blk.0.attn_q.weight", [32, 2], 2, 0), info("output.weight", [256], 12, 64)], b"x" * 208),
    "big_endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "huge_counts": gguf(counts=(2**63, 2**63), data=b"x" * 64),
    "huge_string": gguf([string("k") + struct.pack("<IQ", STRING, 2**64 - 1)]),
    "huge_list": gguf([value("k", LIST, struct.pack("<IQ", 12, 2**61))]),
    "deep_lists": gguf([value("k", LIST, struct.pack("<IQ", LIST, 1) * 3000)]),
    "alignment_zero": gguf([value("general.alignment", U32, struct.pack("<I", 0))], [info("a", [8], 0, 0)], b"x" * 32),
    "alignment_odd": gguf([value("general.alignment", U32, struct.pack("<I", 24))], [info("a", [8], 0, 0)], b"x" * 32),
    "overflow": gguf([], [info("a", [2**31, 2**31, 2**31], 0, 0)], b"x" * 64),
    "overlap": gguf([], [info("a", [16], 0, 0), info("b", [16], 0, 32)], b"x" * 128),
    "past_the_end": gguf([], [info("a", [16], 0, 2**64 - 32)], b"x" * 64),
    "duplicate": gguf([value("k", 0, b"\1"), value("k", 0, b"\1")]),
    "no_numbers": gguf([], [info("a", [8, 0], 0, 0)], b"x" * 32),
    "no_numbers_no_padding": gguf([], [info("a", [0], 0, 0)])[:57],
    "unknown_type": gguf([], [info("a", [16], 77, 0)], b"x" * 64),
    "five_dimensions": gguf([], [info("a", [1] * 5, 0, 0)], b"x" * 64),
}
for kind in range(16):
    GGUF[f"type_{kind}"] = gguf([], [info("a", [256], kind, 0)], bytes(range(256)) * 5)



def vocabulary(model, tokens, text, **parts):
    """Metadata as the tokenizer reads it, a zero byte, and a text to encode."""
    metadata = {"model": model, "tokens": tokens} | parts
    return json.dumps({"tokenizer.ggml." + key: part for key, part in metadata.items()}).encode() + b"\0" + text


def growing(key, stages):
    """Sixty stages, each of which doubles the text."""
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return json.dumps({key: {"type": "Sequence", stages: [double] * 60},
                       "model": {"vocab": {"a": 0}, "merges": []}}).encode() + b"\0a"


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ["\u2581", "a", "b", "ab", "\u2581ab"]
TOKENIZER = {
    "gguf_gpt2": vocabulary("gpt2", ["<|end|>", "a", "b", "ab", "\u0120", "\u0120ab", "1", "2", "12"], b"ab ab12<|end|> \xff",
                            pre="smollm", token_type=[3] + [1] * 8, merges=["a b", "\u0120 ab", "1 2"], bos_token_id=0),
    "gguf_gpt2_default": vocabulary("gpt2", ["a", "b"], b"a1234 b\n", merges=[], add_bos_token=True),
    "gguf_llama": vocabulary("llama", ["<unk>", "<s>", "</s>"] + BYTES + PIECES, "ab  ab</s>\u00e9".encode(),
                             token_type=[2, 3, 3] + [6] * 256 + [1] * 5, scores=[0] * 259 + [-9, -8, -7, -1, -2],
                             bos_token_id=1, eos_token_id=2),
    "replace_doubles": growing("normalizer", "normalizers"),
    "replace_doubles_back": growing("decoder", "decoders"),
    "gguf_short_scores": vocabulary("llama", ["<unk>", "a"], b"a", scores=[0.5]),
    "gguf_bad_merge": vocabulary("gpt2", ["a", "b"], b"ab", merges=["a b"]),
}



def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """A field of a Protocol Buffers message: an integer, a float of 32 bits, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value % 2**64)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def leaf_unit(label, offset, leaf=False):
    return label | leaf << 8 | offset << 10


def char_map(units=None, replacements=b"b\0"):
    """A double array that rewrites "a" as "b" (each index is the parent's place xor offset xor byte)."""
    if units is None:
        units = [leaf_unit(0, 256)] + [0] * 511
        units[256 ^ 0x61] = leaf_unit(0x61, (256 ^ 0x61) ^ 2, True)
        units[2] = 0x80000000
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + replacements


def spm(kind, pieces, text, trainer=b"", normalizer=b"", model=None):
    """A SentencePiece model for the driver: its class, its length, and a text to encode."""
    if model is None:
        model = b"".join(field(1, field(1, piece) + field(2, score) + field(3, type)) for piece, score, type in pieces)
        model += field(2, trainer) + field(3, normalizer)
    return bytes([kind]) + struct.pack("<H", len(model)) + model + text


LLAMA, T5, XLM_ROBERTA, PLAIN = range(4)
START = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
WORDS = [("\u2581", -1.0, 1), ("a", -2.0, 1), ("b", -3.0, 1), ("ab", -0.5, 1), ("\u2581ab", -0.25, 1), ("<x>", 0.0, 4)]
ROOT = [leaf_unit(0, 1 << 20)]
SENTENCEPIECE = {
    "empty": b"\0\0\0",
    "llama": spm(LLAMA, START + WORDS + [(byte, 0.0, 6) for byte in BYTES], "ab  ab<x>\u00e9".encode(), field(3, 2) + field(35, 1)),
    "t5": spm(T5, START + WORDS, b"ab a \xff<extra_id_1>", field(3, 1), field(2, char_map())),
    "xlm_roberta": spm(XLM_ROBERTA, START + WORDS, b"ab<mask> ab", field(3, 1)),
    "plain_unigram": spm(PLAIN, START + WORDS, b"ab ab", field(3, 1) + field(40, 0), field(2, char_map())),
    "plain_bpe": spm(PLAIN, START + WORDS, b"ab ab z", field(3, 2) + field(45, "<unk>")),
    "huge_unk": spm(PLAIN, START, b"a", field(3, 1) + field(40, 2**31)),
    "negative_unk": spm(PLAIN, START, b"a", field(3, 1) + field(40, -5)),
    "bad_type": spm(LLAMA, START, b"a", field(3, 9)),
    "not_utf8": spm(LLAMA, [], b"a", model=field(1, field(1, b"\xff"))),
    "no_pieces": spm(LLAMA, [], b"a", model=field(2, field(3, 1))),
    "twice": spm(T5, START + WORDS + WORDS, b"ab ab"),
    "wrong_kind": spm(LLAMA, [], b"a", model=field(1, field(1, 7))),
    "group": spm(LLAMA, [], b"a", model=b"\x0b\x0c"),
    "field_zero": spm(LLAMA, [], b"a", model=b"\0\0"),
    "endless_varint": spm(LLAMA, [], b"a", model=b"\xff" * 20),
    "cut_off": spm(LLAMA, [], b"a", model=b"\x0a\xff\xff\xff\xff\x0f"),
    "nan": spm(T5, START + [("a", float("nan"), 1), ("b", float("inf"), 1), ("ab", float("-inf"), 1)], b"abab"),
    "map_leads_out": spm(T5, START + WORDS, b"ab", normalizer=field(2, char_map(ROOT))),
    "map_value_out": spm(T5, START + WORDS, b"ab", normalizer=field(2, char_map(replacements=b""))),
    "map_cut": spm(T5, START + WORDS, b"ab", normalizer=field(2, b"\xff\xff\xff\x7f")),
    "map_not_utf8": spm(T5, START + WORDS, b"ab", normalizer=field(2, char_map(replacements=b"\xff\0"))),
}


def encoder(model, text, **parts):
    """A tokenizer.json of one of the encoders, a zero byte, and a text to encode."""
    return json.dumps({"model": model} | parts).encode() + b"\0" + text


SCORED = [["<unk>", 0], ["a", -1.5], ["ab", -1], ["\u2581", -2], ["<0xC3>", -9], ["<0xA9>", -9]]
TOKENIZER |= {
    "wordpiece": encoder({"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1, "##b": 2, "[CLS]": 3, "[SEP]": 4}},
                         "\u00c4b ab\u4e2d x\u200b".encode(), normalizer={"type": "BertNormalizer"}, pre_tokenizer={"type": "BertPreTokenizer"},
                         post_processor={"type": "BertProcessing", "sep": ["[SEP]", 4], "cls": ["[CLS]", 3]}, decoder={"type": "WordPiece"}),
    "wordpiece_no_unknown": encoder({"type": "WordPiece", "vocab": {"a": 1}}, b"b"),
    "wordpiece_bytes": encoder({"type": "WordPiece", "vocab": {"[UNK]": 0, "\u0120": 1, "##a": 2}}, b" a \xff",
                               pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False}),
    "unigram": encoder({"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": SCORED}, "ab a\u00e9\u00e9 b".encode(),
                       normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(char_map()).decode()},
                       pre_tokenizer={"type": "Metaspace", "replacement": "\u2581"}),
    "unigram_no_unknown": encoder({"type": "Unigram", "vocab": SCORED}, b"z"),
    "unigram_unk_out": encoder({"type": "Unigram", "unk_id": 99, "vocab": SCORED}, b"z"),
    "map_leads_out": encoder({"type": "Unigram", "unk_id": 0, "vocab": SCORED}, b"zz",
                             normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(char_map(ROOT)).decode()}),
}

for folder, files in {"sentencepiece": SENTENCEPIECE, "safetensors": SAFETENSORS, "torch_file": TORCH_FILE, "gguf": GGUF, "tokenizer": TOKENIZER}.items():
    (HERE / folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (HERE / folder / name).write_bytes(data)
