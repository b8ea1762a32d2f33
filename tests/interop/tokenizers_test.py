"""`peft tokenize` gives the ids that Python's libraries give, over many lines of mixed text.

Four tokenizers: SmolLM2's out of its GGUF file, and three that are trained here in the manner of
GPT-2, Qwen 2 and Llama 2. No difference is allowed.
"""

import json
import subprocess
import sys
from pathlib import Path

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


def compare(name, tokenizer, model, lines, file):
    ours = ids_of_peft(model, file)
    assert len(ours) == len(lines), f"{name}: {len(ours)} rows for {len(lines)} texts"
    differences = 0
    for text, ids in zip(lines, ours):
        expected = tokenizer.encode(text, add_special_tokens=False).ids
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
    file = WORK / "lines.jsonl"
    with open(file, "w", encoding="utf8") as out:
        out.writelines(json.dumps({"text": line}) + "\n" for line in lines)
    differences = compare("smollm2", golden.smollm2(SMOLLM2), SMOLLM2, lines, file)
    corpus = list(texts.lines(8000, seed=4))
    for name, train in golden.TRAINERS.items():
        tokenizer = train(corpus, VOCABULARY)
        differences += compare(name, tokenizer, checkpoint(name, tokenizer), lines, file)
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
