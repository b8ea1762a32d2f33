#!/usr/bin/env python3
"""Writes tests/tokenizers/golden/: three small tokenizers and what Python makes of texts with them.

    pip install tokenizers==0.23.3
    python3 tests/tokenizers/golden.py

Seed 0; the version is written into cases.json. tests/interop/tokenizers_test.py uses the trainers too.
"""

import copy
import json
import pathlib

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

import texts

FOLDER = pathlib.Path(__file__).parent / "golden"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def trainer(size, **options):
    return trainers.BpeTrainer(vocab_size=size, show_progress=False, **options)


def train_gpt2(corpus, size):
    """GPT-2: bytes, its regular expression; added tokens of several kinds."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(corpus, trainer(
        size, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([
        AddedToken("<mask>", lstrip=True, special=True, normalized=False),
        AddedToken("<|extra|>", single_word=True, normalized=True),
    ])
    return tokenizer


def train_qwen2(corpus, size):
    """Qwen 2: NFC, its regular expression, then bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    tokenizer.train_from_iterator(corpus, trainer(
        size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def train_llama2(corpus, size):
    """Llama 2: SentencePiece's blanks by the normalizer, bytes for what is not in the vocabulary."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(corpus, trainer(
        size, special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens, limit_alphabet=300))
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    state["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def train_sentencepiece(corpus, size, prefix):
    """A SentencePiece model in the manner of Llama 2's; its files are written beside `prefix`."""
    import sentencepiece

    lines = [text.replace("\n", " ").replace("\0", "") for text in corpus]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(prefix), model_type="bpe", vocab_size=size,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98,
        num_threads=1, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def smollm2(model):
    """The published tokenizer.json of SmolLM2, made from the vocabulary in its GGUF file."""
    from gguf import GGUFReader

    fields = GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"].contents()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types) if kind == 3])
    return tokenizer


TRAINERS = {"gpt2": train_gpt2, "qwen2": train_qwen2, "llama2": train_llama2}


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def metaspace(scheme, do_split):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": do_split}


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": True} | options


def sequence(key, *stages):
    return {"type": "Sequence", key: list(stages)}


def pre_tokenizer_variants():
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    for behavior in behaviors:
        yield split({"String": "e"}, behavior)
        yield split({"Regex": r"\s"}, behavior, behavior != "Removed")
        yield {"type": "Punctuation", "behavior": behavior}
    for scheme in ("always", "first", "never"):
        for do_split in (True, False):
            yield metaspace(scheme, do_split)
    for individual in (True, False):
        yield {"type": "Digits", "individual_digits": individual}
    for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        yield {"type": kind}
    yield {"type": "CharDelimiterSplit", "delimiter": "a"}
    yield {"type": "FixedLength", "length": 4}
    yield split({"Regex": r"^|\b|(?=\d)"}, "Isolated")
    yield split({"Regex": LLAMA3}, "Removed", True)


def byte_level_variants():
    yield byte_level(add_prefix_space=True)
    yield byte_level(use_regex=False)
    yield sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level())
    yield sequence("pretokenizers", byte_level(use_regex=False), {"type": "Digits", "individual_digits": False},
                   split({"String": "Ġ"}, "MergedWithNext"))
    yield sequence("pretokenizers", split({"Regex": LLAMA3}, "Isolated"),
                   byte_level(use_regex=False))
    # The same pattern in other words: no hand-written scanner knows it.
    yield sequence("pretokenizers", split({"Regex": f"(?:{LLAMA3})"}, "Isolated"),
                   byte_level(use_regex=False))
    yield sequence("pretokenizers", split({"Regex": f"(?:{QWEN2})"}, "Isolated"),
                   byte_level(use_regex=False))


def normalizer_variants():
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        yield {"type": kind}
    for left, right in ((True, True), (True, False), (False, True)):
        yield {"type": "Strip", "strip_left": left, "strip_right": right}
    yield {"type": "Replace", "pattern": {"String": "e"}, "content": "oo"}
    yield {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": ""}
    yield {"type": "Replace", "pattern": {"Regex": "^"}, "content": "▁"}
    yield {"type": "Prepend", "prepend": "ab"}
    yield {"type": "ByteLevel"}
    yield sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                   {"type": "Prepend", "prepend": "▁"})


def decoder_variants():
    yield {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}
    yield {"type": "BPEDecoder", "suffix": "e"}
    yield {"type": "WordPiece", "prefix": "t", "cleanup": True}
    yield {"type": "Strip", "content": "e", "start": 1, "stop": 0}
    yield {"type": "Replace", "pattern": {"Regex": "[aeiou]"}, "content": "<>"}
    yield {"type": "Fuse"}
    yield None


def model_variants():
    yield {"ignore_merges": True}
    yield {"byte_fallback": False, "fuse_unk": True}
    yield {"byte_fallback": False, "fuse_unk": False}
    yield {"byte_fallback": False, "unk_token": None}
    yield {"end_of_word_suffix": "e", "continuing_subword_prefix": "a", "merges": []}


def variants():
    """Which tokenizer, and the parts of its file that are replaced."""
    for stage in pre_tokenizer_variants():
        yield "llama2", {"pre_tokenizer": stage, "normalizer": None}
    for stage in byte_level_variants():
        yield "gpt2", {"pre_tokenizer": stage}
    for stage in normalizer_variants():
        yield "llama2", {"normalizer": stage}
    for stage in decoder_variants():
        yield "llama2", {"decoder": stage}
    for model in model_variants():
        yield "llama2", {"model": model}
    ends = {"sep": ["b", 5], "cls": ["a", 4]}
    yield "gpt2", {"post_processor": {"type": "BertProcessing"} | ends}
    yield "gpt2", {"post_processor": {"type": "RobertaProcessing", "trim_offsets": True,
                                      "add_prefix_space": True} | ends}
    yield "gpt2", {"post_processor": sequence(
        "processors", byte_level(add_prefix_space=True),
        {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<x>", "type_id": 1}}, {"Sequence": {"id": "A", "type_id": 2}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"<x>": {"id": "<x>", "ids": [7, 8], "tokens": ["c", "d"]}}})}
    yield "gpt2", {"truncation": {"direction": "Left", "max_length": 5,
                                  "strategy": "LongestFirst", "stride": 0}}


def case(tokenizer, text, every_field=True):
    encoding = tokenizer.encode(text, add_special_tokens=True)
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    result = {
        "text": text,
        "ids": encoding.ids,
        "offsets": [[starts[min(place, len(text))] for place in pair] for pair in encoding.offsets],
        "decoded": tokenizer.decode(encoding.ids),
    }
    if every_field:
        result["decoded_with_special"] = tokenizer.decode(encoding.ids, skip_special_tokens=False)
        result["type_ids"] = encoding.type_ids
        result["special_tokens_mask"] = encoding.special_tokens_mask
    return result


def with_parts(tokenizer, parts):
    state = json.loads(tokenizer.to_str())
    parts = copy.deepcopy(parts)
    state["model"] |= parts.pop("model", {})
    return Tokenizer.from_str(json.dumps(state | parts))


def batch(tokenizer, lines, length, side):
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(direction=side, pad_id=3)
    return {"length": length, "side": side, "texts": lines, "rows": [
        {"ids": e.ids, "attention_mask": e.attention_mask,
         "special_tokens_mask": e.special_tokens_mask}
        for e in tokenizer.encode_batch(lines)]}


def main():
    FOLDER.mkdir(exist_ok=True)
    corpus = list(texts.lines(4000))
    trained = {name: train(corpus, 1100) for name, train in TRAINERS.items()}
    for name, tokenizer in trained.items():
        (FOLDER / f"{name}.json").write_text(tokenizer.to_str() + "\n", encoding="utf8")
    hard = [" Hello  World's  end\n\n 12345é", "", " ", "\u0301e\u0301 ǅ İ", "a<mask> b <|extra|>c <|extra|> "]
    short = [text for text in texts.lines(150, seed=2) if len(text.encode()) < 60][:9] + hard
    golden = {
        "tokenizers_version": tokenizers.__version__,
        "tokenizers": {name: [case(tokenizer, text) for text in [*texts.lines(100, seed=1), *hard]]
                       for name, tokenizer in trained.items()},
        "variants": [{"tokenizer": name, "parts": parts,
                      "cases": [case(with_parts(trained[name], parts), text, False)
                                for text in short]}
                     for name, parts in variants()],
        "batches": [batch(trained["llama2"], short, length, side)
                    for length, side in ((12, "left"), (4, "right"))],
    }
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / "cases.json").write_text(text.replace('},{"text"', '},\n{"text"') + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
