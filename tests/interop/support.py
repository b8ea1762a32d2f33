"""What the interop tests share: small models, running `peft`, and comparing numbers."""

import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

transformers.utils.logging.disable_progress_bar()
ROOT = Path(__file__).resolve().parent.parent.parent
PEFT = None  # the program under test
WORK = None  # an empty folder for this script
VOCABULARY = 96


def llama(**options):
    torch.manual_seed(11)
    config = LlamaConfig(**{
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "initializer_range": 0.2, "bos_token_id": 1,
        "eos_token_id": 2, "tie_word_embeddings": False, **options})
    return randomise_vectors(LlamaForCausalLM(config).eval())


def qwen2(**options):
    torch.manual_seed(12)
    config = Qwen2Config(**{
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "initializer_range": 0.2, "bos_token_id": 1,
        "eos_token_id": 2, "tie_word_embeddings": True, **options})
    return randomise_vectors(Qwen2ForCausalLM(config).eval())


def randomise_vectors(model):
    """Biases start at zero and norms at one, which would hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def saved(model, name):
    folder = WORK / name
    model.save_pretrained(folder)
    return folder


def word_tokenizer(folder, words):
    """Gives a folder a tokenizer whose tokens are words; </s> ends a text that has special tokens."""
    words = ["<pad>", "</s>", "<unk>", *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(words[:3])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>",
                            unk_token="<unk>").save_pretrained(folder)


def randomise(parameters):
    """Adapters start where they change nothing; move them away from there."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.1 * torch.randn_like(parameter))


def token_rows(count, seed=3, labels=False):
    """Rows of unequal length; with labels, a differing share of them is not counted."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for index in range(count):
        length = int(torch.randint(6, 20, (1,), generator=generator))
        ids = torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        row = {"input_ids": ids}
        if labels:
            hidden = 1 + index % 4
            row["labels"] = [-100] * hidden + ids[hidden:]
        rows.append(row)
    return rows


def write_rows(rows, name):
    path = WORK / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def peft(command, *switches, **flags):
    """Runs the program; returns its standard output."""
    line = [PEFT, command, *switches]
    for name, value in flags.items():
        words = value if isinstance(value, (list, tuple)) else [value]
        line += [f"--{name}", *(str(word).lower() if isinstance(word, bool) else str(word)
                                for word in words)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}: {' '.join(map(str, line))}\n{done.stderr}")
    return done.stdout


def scores(**flags):
    return [json.loads(line) for line in peft("score", **flags).splitlines()]


def python_logprobs(model, ids):
    """The log-probability of each token after the first."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].float()
    logprobs = torch.log_softmax(logits.double(), -1)
    return logprobs[torch.arange(len(ids) - 1), ids[1:]]


def expect_close(actual, expected, tolerance, what):
    """Within tolerance times the largest expected magnitude, or one where that is larger."""
    actual = torch.as_tensor(actual, dtype=torch.float64)
    expected = torch.as_tensor(expected, dtype=torch.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if expected.numel() == 0:
        return
    bound = tolerance * max(1.0, expected.abs().max().item())
    worst = (actual - expected).abs().max().item()
    assert worst <= bound, f"{what}: off by {worst:.3e}, expected at most {bound:.3e}"


def expect_same_scores(model, rows, what, tolerance=1e-5, **flags):
    """`peft score` and the Python model give every token the same log-probability."""
    path = write_rows(rows, "score_rows.jsonl")
    answers = scores(input=path, dtype="float32", **flags)
    assert len(answers) == len(rows), f"{what}: {len(answers)} answers to {len(rows)} rows"
    for row, answer in zip(rows, answers):
        expect_close(answer["logprobs"], python_logprobs(model, row["input_ids"]), tolerance, what)


def run_cases(cases):
    """The main program of a test: every case is run, the failed ones are shown."""
    global PEFT, WORK
    PEFT, WORK = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(2)
    failed = 0
    for name, case in cases.items():
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)
        try:
            case()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(cases) - failed} of {len(cases)} cases passed")
    sys.exit(1 if failed else 0)
