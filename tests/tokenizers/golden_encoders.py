#!/usr/bin/env python3
"""Writes what Python makes of texts and of pairs of texts with tokenizers of encoders: three small ones
in tests/tokenizers/golden/ (BERT's WordPiece, RoBERTa's bytes, T5's Unigram with a character map), the
stages that only they have, and folders without a tokenizer.json in golden/folders/.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 transformers==5.17.0 protobuf
    python3 tests/tokenizers/golden_encoders.py

Seed 0; the trainers of WordPiece and Unigram break ties as they come, so another run may write other
tokenizers, each with its own answers. tests/interop/tokenizers_test.py uses the trainers too.
"""

import contextlib
import json
import pathlib
import shutil
import tempfile
import unicodedata

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

import texts

FOLDER = pathlib.Path(__file__).parent / "golden"
STRATEGIES = ("longest_first", "only_first", "only_second")


def train_bert(corpus, size):
    """BERT, uncased: WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(
        vocab_size=size, show_progress=False, limit_alphabet=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def train_words(corpus, size):
    """WordLevel: the most frequent words, all else is unknown."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(corpus, trainers.WordLevelTrainer(
        vocab_size=size, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer


def train_roberta(corpus, size):
    """RoBERTa and BART: bytes, and a mask that takes the blank before it along."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer


def train_spm(corpus, prefix, size, **options):
    """A SentencePiece model; the path of its file."""
    import sentencepiece

    lines = [text.replace("\n", " ").replace("\0", "") for text in corpus]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(prefix), vocab_size=size, num_threads=1,
        minloglevel=2, character_coverage=0.99, **options)
    return pathlib.Path(f"{prefix}.model")


def read_spm(file):
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(pathlib.Path(file).read_bytes())
    return proto


def train_t5(corpus, size, prefix, byte_fallback=False, **options):
    """T5: Unigram over words with a mark in front, SentencePiece's character map before."""
    proto = read_spm(train_spm(corpus, prefix, size, model_type="unigram", pad_id=0, eos_id=1, unk_id=2,
                               bos_id=-1, byte_fallback=byte_fallback, **options))
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    pieces += [(f"<extra_id_{i}>", 0.0) for i in (1, 0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=byte_fallback))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", "<extra_id_1>", "<extra_id_0>"])
    return tokenizer


def train_unigram(corpus, size):
    """The `tokenizers` library's own Unigram, as in XLNet and ALBERT."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(corpus, trainers.UnigramTrainer(
        vocab_size=size, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"))
    return tokenizer


def small_rules(path):
    """A few rules of every kind for SentencePiece's normalizer, as its TSV file of code points."""
    rules = {"\u200b": "", "\u00ad": "", "\r\n": " ", "\t": " ", "\n": " ", "\u3000": " ", "\ufffd": " "}
    for character in sorted(set("".join(texts.OTHER) + texts.CHINESE + texts.COMBINING + "…½①Ⅷ㍿ﷺ")):
        if unicodedata.normalize("NFKC", character) != character:
            rules[character] = unicodedata.normalize("NFKC", character)
    for pair in ("e\u0301", "A\u0301", "\u03b9\u0308", "\u1100\u1161"):
        rules[pair] = unicodedata.normalize("NFKC", pair)
    codes = [[" ".join(f"{ord(c):X}" for c in part) for part in rule] for rule in rules.items()]
    path.write_text("".join(f"{source}\t{target}\n" for source, target in codes))
    return str(path)


def byte_offsets(text, pair, encoding):
    """Python counts characters, each text's tokens in its own text."""
    starts = []
    for part in (text, pair or ""):
        starts.append([0])
        for character in part:
            starts[-1].append(starts[-1][-1] + len(character.encode()))
    return [[starts[index or 0][min(place, len(starts[index or 0]) - 1)] for place in span]
            for span, index in zip(encoding.offsets, encoding.sequence_ids)]


def encode(tokenizer, text, pair=None, length=None, strategy=STRATEGIES[0]):
    """The fields of an encoding."""
    if length is not None:
        tokenizer.enable_truncation(length, strategy=strategy)
    else:
        tokenizer.no_truncation()
    encoding = tokenizer.encode(text, pair)
    return {"ids": encoding.ids, "type_ids": encoding.type_ids, "attention_mask": encoding.attention_mask,
            "special_tokens_mask": encoding.special_tokens_mask,
            "offsets": byte_offsets(text, pair, encoding), "decoded": tokenizer.decode(encoding.ids)}


def case(tokenizer, text, pair=None, **cut):
    row = {"text": text} | ({"pair": pair} if pair is not None else {})
    if cut:
        row |= {"max_length": cut["length"], "truncation": cut["strategy"]}
    return row | encode(tokenizer, text, pair, **cut)


def cut_cases(tokenizer, pairs):
    """Pairs cut to lengths; where Python refuses there is no case."""
    for text, pair in pairs:
        for length in (6, 9, 14):
            for strategy in STRATEGIES:
                with contextlib.suppress(Exception):
                    yield case(tokenizer, text, pair, length=length, strategy=strategy)


def window_cases(name, tokenizer, pairs):
    """The second text in parts that overlap; where Python refuses there is no case."""
    for text, pair in pairs:
        for length, stride in ((14, 0), (20, 5), (60, 12)):
            tokenizer.enable_truncation(length, stride=stride, strategy="only_second")
            try:
                first = tokenizer.encode(text, pair)
            except BaseException:  # a stride that is too long for what is left panics
                continue
            yield {"text": text, "pair": pair, "tokenizer": name, "max_length": length, "stride": stride,
                   "windows": [{"ids": part.ids, "type_ids": part.type_ids, "offsets": byte_offsets(text, pair, part)}
                               for part in [first, *first.overflowing]]}


def long_pairs(pairs):
    """Short questions, and contexts of several of the texts."""
    return [(pairs[i][0][:20], " ".join(pair for _, pair in pairs[i:i + 3])) for i in range(0, 18, 6)]


def bert_variants():
    """The settings of BertNormalizer and of WordPiece, and its vocabulary as whole words."""
    for clean in (True, False):
        for chinese in (True, False):
            yield {"normalizer": {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese,
                                  "strip_accents": None, "lowercase": True}}
    for accents in (True, False, None):
        for lowercase in (True, False):
            yield {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                                  "strip_accents": accents, "lowercase": lowercase}}
    for model in ({"max_input_chars_per_word": 3}, {"continuing_subword_prefix": ""},
                  {"continuing_subword_prefix": "@@"}, {"unk_token": "[MASK]"}):
        yield {"model": model}
    yield {"pre_tokenizer": None}
    yield {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                             "use_regex": True}}
    yield {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}}
    yield {"post_processor": None}
    yield {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}}
    yield from word_variants()


def word_variants():
    for unknown in ("[UNK]", "[MASK]"):
        yield {"model": {"type": "WordLevel", "unk_token": unknown}}
    yield {"model": {"type": "WordLevel"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False,
                                                             "trim_offsets": True, "use_regex": True}}
    yield {"model": {"type": "WordLevel"}, "decoder": None, "pre_tokenizer": {"type": "WhitespaceSplit"}}


def unigram_variants(byte_tokens):
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                                     "split": split}}
    yield {"pre_tokenizer": None, "normalizer": None}
    yield {"normalizer": None}
    yield {"model": {"byte_fallback": True}}
    vocabulary = [["<unk>", 0.0], ["a", 0.0], ["b", 0.5], ["ab", 2.0], ["abab", 1.5], ["▁", -1.0],
                  ["\u0301\u0301", -3.0]] + byte_tokens
    yield {"model": {"vocab": vocabulary, "unk_id": 0}}
    yield {"model": {"vocab": vocabulary, "unk_id": 0, "byte_fallback": True},
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                             "use_regex": True}}
    yield {"model": {"vocab": vocabulary[:40], "unk_id": 0, "byte_fallback": True}}


def with_parts(tokenizer, parts):
    state = json.loads(tokenizer.to_str())
    state["model"] |= parts.get("model", {})
    return Tokenizer.from_str(json.dumps(state | {key: part for key, part in parts.items() if key != "model"}))


def variant(name, tokenizer, parts, lines):
    changed = with_parts(tokenizer, parts)
    return {"tokenizer": name, "parts": parts,
            "cases": [case(changed, text) for text in lines] + [case(changed, lines[0], lines[2])]}


def folder_cases(folder, lines):
    """What transformers makes of a folder. It takes an empty second text for none."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [(text, None) for text in lines] + [pair for pair in zip(lines, lines[1:]) if all(pair)]
    cases = []
    for text, pair in rows:
        encoded = tokenizer(text, pair, return_token_type_ids=True, return_special_tokens_mask=True)
        cases.append({"text": text} | ({"pair": pair} if pair is not None else {}) | {
            "ids": encoded["input_ids"], "type_ids": encoded["token_type_ids"],
            "attention_mask": encoded["attention_mask"],
            "special_tokens_mask": encoded["special_tokens_mask"],
            "decoded": tokenizer.decode(encoded["input_ids"], skip_special_tokens=True,
                                        clean_up_tokenization_spaces=False)})
    return cases


def setting_cases(lines):
    """What transformers makes of a tokenizer.json whose opener asks for a setting."""
    from transformers import AutoTokenizer

    for name, kind in (("gpt2", "GPT2Tokenizer"), ("roberta", "RobertaTokenizer"), ("gpt2", "PreTrainedTokenizerFast")):
        for prefix in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(FOLDER / f"{name}.json", f"{folder}/tokenizer.json")
                pathlib.Path(folder, "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
                tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=prefix)
                yield {"tokenizer": name, "class": kind, "settings": {"add_prefix_space": prefix},
                       "ids": [[text, tokenizer(text)["input_ids"]] for text in lines]}


def write_folders(root, corpus, bert, roberta, rules):
    """Folders without a tokenizer.json; the names of their classes are in tokenizer_config.json."""
    shutil.rmtree(root, ignore_errors=True)

    def folder(name, **config):
        (root / name).mkdir(parents=True)
        (root / name / "tokenizer_config.json").write_text(json.dumps(config))
        return root / name

    words = sorted(bert.get_vocab().items(), key=lambda item: item[1])
    for name, config in {"bert": {}, "bert_cased": {"do_lower_case": False, "tokenize_chinese_chars": False}}.items():
        vocabulary = folder(name, tokenizer_class="BertTokenizer", **config) / "vocab.txt"
        vocabulary.write_text("".join(word + "\n" for word, _ in words), encoding="utf8")
    for name, config in {"roberta": {"tokenizer_class": "RobertaTokenizer",
                                     "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False,
                                                    "single_word": False, "normalized": False,
                                                    "__type": "AddedToken"}},
                         "gpt2": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True,
                                  "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}}.items():
        roberta.model.save(str(folder(name, **config)))
    unigram = {"model_type": "unigram", "normalization_rule_tsv": rules}
    bpe = {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True,
           "remove_extra_whitespaces": False, "user_defined_symbols": ["<sep>", "▁▁▁"]}
    with tempfile.TemporaryDirectory() as scratch:
        llama = train_spm(corpus, f"{scratch}/llama", 1000, **bpe)
        t5 = train_spm(corpus, f"{scratch}/t5", 600, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **unigram)
        xlm_roberta = train_spm(corpus, f"{scratch}/x", 600, control_symbols=["<ctl>"], **unigram)
        shutil.copy(llama, folder("llama", tokenizer_class="LlamaTokenizer", add_bos_token=True) / "tokenizer.model")
        shutil.copy(llama, folder("llama_legacy", tokenizer_class="LlamaTokenizerFast", legacy=True,
                                  add_eos_token=True, pad_token="<pad>") / "tokenizer.model")
        shutil.copy(llama, folder("plain", tokenizer_class="PreTrainedTokenizerFast") / "tokenizer.model")
        shutil.copy(t5, folder("t5", tokenizer_class="T5Tokenizer", extra_ids=3) / "spiece.model")
        shutil.copy(xlm_roberta, folder("xlm_roberta", tokenizer_class="XLMRobertaTokenizer")
                    / "sentencepiece.bpe.model")


def main():
    corpus = list(texts.lines(4000))
    marked = lambda text: text.replace("<mask>", "[MASK]").replace("<s>", "[CLS]")
    bert = train_bert(map(marked, corpus), 1000)
    roberta = train_roberta(corpus, 700)
    with tempfile.TemporaryDirectory() as scratch:
        rules = small_rules(pathlib.Path(scratch) / "rules.tsv")
        t5 = train_t5(corpus, 600, f"{scratch}/t5", normalization_rule_tsv=rules)
        write_folders(FOLDER / "folders", corpus, bert, roberta, rules)
    trained = {"bert": bert, "roberta": roberta, "t5": t5}
    for name, tokenizer in trained.items():
        (FOLDER / f"{name}.json").write_text(tokenizer.to_str() + "\n", encoding="utf8")
    hard = [" Hello  World's  end\n\n 12345é", "", " ", "\u0301e\u0301 ǅ İ\r\nI\u0307", "\u200b\u200bab\u00ad ﬁ\u0301 x\u200d",
            "a[MASK] b <mask>c 中文字 K\u030a", "abababab zzz\u4e00\u4e01 ab"]
    short = [marked(text) for text in texts.lines(150, seed=2) if len(text.encode()) < 60][:9] + hard
    lines = [marked(text) for text in texts.lines(60, seed=1)] + hard
    pairs = list(zip(lines[1:], lines))[:30] + list(zip(hard, hard[1:]))
    byte_tokens = [[f"<0x{byte:02X}>", -1.0 * byte] for byte in range(256)]
    variants = [("bert", parts) for parts in bert_variants()] + [("t5", parts) for parts in unigram_variants(byte_tokens)]
    golden = {
        "tokenizers": {name: [case(tokenizer, text) for text in lines]
                       + [case(tokenizer, text, pair) for text, pair in pairs]
                       + list(cut_cases(tokenizer, pairs[:6]))
                       for name, tokenizer in trained.items()},
        "variants": [variant(name, trained[name], parts, short) for name, parts in variants],
        "windows": [row for name, tokenizer in trained.items() for row in window_cases(name, tokenizer, long_pairs(pairs))],
        "settings": list(setting_cases(short)),
        "folders": {folder.name: folder_cases(folder, short) for folder in sorted((FOLDER / "folders").iterdir())},
    }
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / "encoders.json").write_text(text.replace('},{"text"', '},\n{"text"') + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
