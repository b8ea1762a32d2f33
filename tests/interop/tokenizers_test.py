"""`peft tokenize` gives the ids that Python's libraries give, over many lines of mixed text.

Five tokenizers: SmolLM2's out of its GGUF file, three that are trained here in the manner of GPT-2,
Qwen 2 and Llama 2, and a SentencePiece model in a GGUF file of kind "llama". No difference is allowed.
"""

import json
import subprocess
import sys
from pathlib import Path

from gguf import GGUFWriter, TokenType

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/tokenizers"))
import golden  # noqa: E402
import texts  # noqa: E402

PEFT, WORK = Path(sys.argv[1]), Path(sys.argv[2])
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
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
