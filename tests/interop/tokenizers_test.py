"""`peft tokenize` gives the ids that Python's libraries give, over many lines of mixed text.

Decoders: SmolLM2's out of its GGUF file, three that are trained here in the manner of GPT-2, Qwen 2 and
Llama 2, and a SentencePiece model in a GGUF file of kind "llama". Encoders, where the type ids, masks,
offsets and the decoded text of single texts and of pairs are compared too: MiniLM's published BERT
tokenizer, and trained ones in the manner of BERT, RoBERTa, T5 (with SentencePiece's whole character map)
and XLNet, and one of whole words (WordLevel), out of a tokenizer.json; then folders without one: SentencePiece models for the classes of
Llama, T5 and XLM-RoBERTa, RoBERTa's vocab.json and MiniLM's vocab.txt. No difference is allowed.
"""

import json
import subprocess
import sys
from pathlib import Path

from gguf import GGUFWriter, TokenType

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/tokenizers"))
import golden  # noqa: E402
import golden_encoders  # noqa: E402
import texts  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

PEFT, WORK = Path(sys.argv[1]), Path(sys.argv[2])
ENCODE_ROWS = PEFT.parent / "encode_rows"
MINILM = ROOT / ".deps/minilm"
SMOLLM2 = ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"
LINES = 20_000
VOCABULARY = 3000


def checkpoint(name, tokenizer):
    """A folder that holds nothing but the tokenizer."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def ids_of_peft(model, lines):
    command = [PEFT, "tokenize", "--model_name_or_path", model, "--input", lines]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def sentencepiece_gguf(corpus):
    """Python's sentencepiece, and its vocabulary in a GGUF file as llama.cpp's converter writes it."""
    processor = golden.train_sentencepiece(corpus, VOCABULARY, WORK / "sentencepiece")
    ids = range(processor.vocab_size())
    file = WORK / "sentencepiece.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([processor.id_to_piece(i) for i in ids])
    writer.add_token_scores([processor.get_score(i) for i in ids])
    writer.add_token_types([TokenType.UNKNOWN if processor.is_unknown(i)
                            else TokenType.CONTROL if processor.is_control(i)
                            else TokenType.BYTE if processor.is_byte(i)
                            else TokenType.NORMAL for i in ids])
    writer.add_bos_token_id(processor.bos_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return processor, file


def write_lines(name, lines):
    file = WORK / f"{name}.jsonl"
    with open(file, "w", encoding="utf8") as out:
        out.writelines(json.dumps({"text": line}) + "\n" for line in lines)
    return file


def compare(name, encode, model, lines):
    """How many of the texts get other ids than `encode` gives."""
    ours = ids_of_peft(model, write_lines(name, lines))
    assert len(ours) == len(lines), f"{name}: {len(ours)} rows for {len(lines)} texts"
    differences = 0
    for text, ids in zip(lines, ours):
        expected = encode(text)
        if ids == expected:
            continue
        differences += 1
        if differences <= 5:
            print(f"{name}: {text!r}\n  Python {expected}\n  peft   {ids}")
    print(f"{name}: {len(lines)} lines, {differences} differences")
    return differences


def rows_of_peft(name, path, rows):
    """Every field that encoding gives, of a tokenizer.json or of a folder."""
    file = WORK / f"{name}.rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run([ENCODE_ROWS, path, file], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    # Not splitlines(): the decoded texts have line ends of other alphabets.
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def compare_rows(name, tokenizer, path, rows):
    """How many of the texts and pairs get other fields than the `tokenizers` library gives."""
    ours = rows_of_peft(name, path, rows)
    assert len(ours) == len(rows), f"{name}: {len(ours)} answers to {len(rows)} rows"
    differences = 0
    for row, fields in zip(rows, ours):
        expected = golden_encoders.encode(tokenizer, row["text"], row.get("pair"))
        wrong = [key for key, value in expected.items() if fields[key] != value]
        differences += bool(wrong)
        if wrong and differences <= 5:
            print(f"{name}: {row}\n  {wrong[0]}: Python {expected[wrong[0]]}\n  peft {fields[wrong[0]]}")
    print(f"{name}: {len(rows)} texts and pairs, {differences} differences in any field")
    return differences


def with_marks(text):
    """The special tokens that BERT spells in another way."""
    for mark, theirs in {"<mask>": "[MASK]", "<s>": "[CLS]", "</s>": "[SEP]", "<unk>": "[UNK]"}.items():
        text = text.replace(mark, theirs)
    return text


def encoder_rows(lines):
    """Every line alone, and each fifth also with the one behind it."""
    rows = [{"text": line} for line in lines]
    return rows + [{"text": a, "pair": b} for a, b in list(zip(lines, lines[1:]))[::5]]


def compare_encoder(name, tokenizer, folder, lines):
    """A folder's tokenizer against the same one in Python, which cuts and pads nothing."""
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def ids(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    return compare(name, ids, folder, lines) + compare_rows(name, tokenizer, folder, encoder_rows(lines))


def encoders(corpus):
    """Name, Python's tokenizer and the folder that peft opens."""
    marked = [with_marks(text) for text in corpus]
    yield "minilm", Tokenizer.from_file(str(MINILM / "tokenizer.json")), MINILM
    bert = golden_encoders.train_bert(marked, VOCABULARY)
    yield "bert", bert, checkpoint("bert", bert)
    words = golden_encoders.train_words(marked, VOCABULARY)
    yield "words", words, checkpoint("words", words)
    roberta = golden_encoders.train_roberta(corpus, VOCABULARY)
    yield "roberta", roberta, checkpoint("roberta", roberta)
    for name, fallback in {"t5": False, "t5_bytes": True}.items():
        t5 = golden_encoders.train_t5(corpus, VOCABULARY, WORK / name, fallback)
        yield name, t5, checkpoint(name, t5)
    xlnet = golden_encoders.train_unigram(corpus, VOCABULARY)
    yield "xlnet", xlnet, checkpoint("xlnet", xlnet)
    for name, options in {"LlamaTokenizer": {"model_type": "bpe", "byte_fallback": True,
                                             "normalization_rule_name": "identity",
                                             "remove_extra_whitespaces": False},
                          "T5Tokenizer": {"model_type": "unigram", "pad_id": 0, "eos_id": 1, "unk_id": 2,
                                          "bos_id": -1},
                          "XLMRobertaTokenizer": {"model_type": "unigram"}}.items():
        folder = WORK / f"spm_{name}"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        file = golden_encoders.train_spm(corpus, WORK / name, VOCABULARY, **options)
        file_name = {"T5Tokenizer": "spiece.model", "XLMRobertaTokenizer": "sentencepiece.bpe.model"}
        file.rename(folder / file_name.get(name, "tokenizer.model"))
        yield folder.name, AutoTokenizer.from_pretrained(folder)._tokenizer, folder
    vocabulary = WORK / "roberta_vocabulary"
    vocabulary.mkdir(exist_ok=True)
    roberta.model.save(str(vocabulary))
    (vocabulary / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    yield vocabulary.name, AutoTokenizer.from_pretrained(vocabulary)._tokenizer, vocabulary
    vocabulary = WORK / "minilm_vocabulary"
    vocabulary.mkdir(exist_ok=True)
    for name in ("vocab.txt", "tokenizer_config.json"):
        (vocabulary / name).write_bytes((MINILM / name).read_bytes())
    yield "minilm_vocabulary", AutoTokenizer.from_pretrained(vocabulary)._tokenizer, vocabulary


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    lines = list(texts.lines(LINES, seed=3))

    def ids_by(tokenizer):
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids

    differences = compare("smollm2", ids_by(golden.smollm2(SMOLLM2)), SMOLLM2, lines)
    corpus = list(texts.lines(8000, seed=4))
    for name, train in golden.TRAINERS.items():
        tokenizer = train(corpus, VOCABULARY)
        differences += compare(name, ids_by(tokenizer), checkpoint(name, tokenizer), lines)
    processor, file = sentencepiece_gguf(corpus)
    # Its encode() knows no special tokens; a checkpoint's tokenizer does.
    plain = [text for text in lines if not any(word in text for word in ("<s>", "</s>", "<unk>"))]
    differences += compare("sentencepiece", processor.encode, file, plain)
    marked = [with_marks(text) for text in lines]
    for name, tokenizer, folder in encoders(corpus):
        texts_of = marked if name.startswith(("bert", "minilm", "words")) else lines
        differences += compare_encoder(name, tokenizer, folder, texts_of)
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
