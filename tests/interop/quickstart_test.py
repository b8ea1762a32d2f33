"""`peft quickstart` and Python PEFT agree on what the trained adapter answers.

A short run by default. A third argument names the folder of a whole run, which is then scored
instead: python quickstart_test.py PROGRAM WORK runs/quickstart"""

import json
import sys
from pathlib import Path

import support
import torch
from peft import PeftModel
from support import ROOT, peft, run_cases
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER, FILE = ROOT / ".deps" / "models", "SmolLM2-135M-Instruct.Q4_1.gguf"
DATA = ROOT / "data" / "quickstart"
TRAIN_ROWS, HELD_OUT_ROWS, STEPS = 480, 32, 120
BATCH = 16
RUN = Path(sys.argv.pop()) if len(sys.argv) > 3 else None


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def python_answers(adapter, prompts):
    """Greedy text up to the end of sequence, in float32."""
    base = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, gguf_file=FILE, padding_side="left")
    tokenizer.pad_token = tokenizer.eos_token  # what is padded is masked
    answers = []
    for start in range(0, len(prompts), BATCH):
        batch = tokenizer(prompts[start:start + BATCH], return_tensors="pt", padding=True,
                          add_special_tokens=False)
        with torch.no_grad():
            tokens = model.generate(**batch, max_new_tokens=64, do_sample=False)
        new = tokens[:, batch.input_ids.shape[1]:]
        answers += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return answers


def compare(run):
    rows = lines_of(run / "predictions.jsonl")
    report = json.loads((run / "report.json").read_text())
    expected = [row["expected"].strip() for row in rows]
    answers = python_answers(run / "adapter", [row["prompt"] for row in rows])
    score = sum(map(str.__eq__, expected, answers)) / len(rows)
    print(f"exact match: {report['exact_match_after_all']:.4f} here, {score:.4f} in Python")
    differing = [(row["after"], answer) for row, answer in zip(rows, answers, strict=True)
                 if row["after"] != answer]
    for ours, python in differing:
        print(f"  here {ours!r}, in Python {python!r}")
    assert score == report["exact_match_after_all"], "the scores differ"
    return score, differing


def short_run():
    data = support.WORK / "data"
    data.mkdir()
    for name, count in (("train.jsonl", TRAIN_ROWS), ("heldout.jsonl", HELD_OUT_ROWS)):
        rows = (DATA / name).read_text().splitlines(keepends=True)[:count]
        (data / name).write_text("".join(rows))
    out = support.WORK / "run"
    peft("quickstart", model=FOLDER / FILE, data=data, output_dir=out, dtype="float32",
         max_steps=STEPS)
    score, differing = compare(out)
    assert not differing, f"{len(differing)} answers differ"
    assert 0 < score < 1, f"a score of {score} tells nothing"


run_cases({"whole run": lambda: compare(RUN)} if RUN else {"short run": short_run})
