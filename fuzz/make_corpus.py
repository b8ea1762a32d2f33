"""Makes the seeds in corpus/{safetensors,gguf}/ and the vocabularies of GGUF files in
corpus/tokenizer/: small whole files and files that once were attacks.

A pure function of this script; run it with any Python 3.
"""
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

for folder, files in {"safetensors": SAFETENSORS, "gguf": GGUF, "tokenizer": TOKENIZER}.items():
    (HERE / folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (HERE / folder / name).write_bytes(data)
