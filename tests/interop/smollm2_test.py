"""The quickstart's model: greedy text, log-probabilities and an adapter trained on the quickstart's
data are the same here and in Python."""

import json

import support
import torch
from peft import PeftModel
from support import ROOT, expect_close, peft, run_cases, scores, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER, FILE = ROOT / ".deps" / "models", "SmolLM2-135M-Instruct.Q4_1.gguf"
NEW_TOKENS = 64
PROMPTS = (
    "The capital of France is", "Once upon a time there was a fox who", "def fibonacci(n):\n",
    "To make a good cup of tea, first", "The three laws of motion are", "Dear Sir or Madam,\n",
    "List of the planets:\n1. Mercury\n2.", "The difference between a frog and a toad is",
    "In 1969, two men", "Q: What is 12 times 12?\nA:")


def load():
    model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(FOLDER, gguf_file=FILE)


MODEL, TOKENIZER = load()


def ids_of(text):
    return TOKENIZER(text, add_special_tokens=False).input_ids


def greedy(prompt):
    """Python's text, and the texts after which its choice was open: two best logits that differ by
    less than 1e-3 may change places."""
    ids, close = ids_of(prompt), []
    start = len(ids)
    cache = None
    step = torch.tensor([ids])
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            out = MODEL(input_ids=step, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        best = out.logits[0, -1].topk(2)
        if (best.values[0] - best.values[1]).item() < 1e-3:
            close.append(TOKENIZER.decode(ids[start:]))
        token = best.indices[0].item()
        if token == MODEL.generation_config.eos_token_id or token == MODEL.config.eos_token_id:
            break
        ids.append(token)
        step = torch.tensor([[token]])
    return TOKENIZER.decode(ids[start:]), close


def greedy_text():
    for prompt in PROMPTS:
        expected, close = greedy(prompt)
        actual = peft("generate", model_name_or_path=FOLDER / FILE, prompt=prompt, dtype="float32",
                      temperature=0, max_new_tokens=NEW_TOKENS)
        if actual.rstrip("\n") == expected.rstrip("\n"):
            continue
        assert any(actual.startswith(text) for text in close), \
            f"after {prompt!r}:\n{actual!r}\nexpected\n{expected!r}"


def compare_scores(model, rows, **flags):
    answers = scores(model_name_or_path=FOLDER / FILE, dtype="float32",
                     input=write_rows(rows, "rows.jsonl"), **flags)
    for row, answer in zip(rows, answers, strict=True):
        ids = ids_of(row["prompt"]) + ids_of(row["completion"]) + [MODEL.config.eos_token_id]
        expected = support.python_logprobs(model, ids)
        expect_close(answer["logprobs"], expected, 1e-4, row["prompt"])
        loss = -expected[len(ids_of(row["prompt"])) - 1:].mean()
        expect_close(answer["loss"], loss, 1e-5, "loss")


def quickstart_rows(name, count):
    lines = (ROOT / "data" / "quickstart" / name).read_text().splitlines()
    return [json.loads(line) for line in lines[:count]]


def base_scores():
    compare_scores(MODEL, quickstart_rows("heldout.jsonl", 8))


def trained_adapter():
    """Six steps on the quickstart's rows, then the same log-probabilities in Python."""
    out = support.WORK / "adapter"
    peft("train", model_name_or_path=FOLDER / FILE, output_dir=out, dtype="float32", max_steps=6,
         dataset_name=write_rows(quickstart_rows("train.jsonl", 24), "train.jsonl"), lora_dropout=0,
         lora_target_modules="all-linear", learning_rate=1e-3, per_device_train_batch_size=4,
         save_strategy="no")
    rows = quickstart_rows("heldout.jsonl", 8)
    base, _ = load()
    adapted = PeftModel.from_pretrained(base, out).eval()
    first = ids_of(rows[0]["prompt"] + rows[0]["completion"])
    moved = support.python_logprobs(adapted, first) - support.python_logprobs(MODEL, first)
    assert moved.abs().max().item() > 0.1, "the adapter changes nothing"
    compare_scores(adapted, rows, adapter=out)


run_cases({"greedy text": greedy_text, "scores": base_scores, "trained adapter": trained_adapter})
