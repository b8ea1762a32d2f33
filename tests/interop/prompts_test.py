"""Prompts that this program wrote load in Python PEFT, and those that Python wrote load here."""

import functools
import json
import shutil
import subprocess
from pathlib import Path

import support
import torch
from peft import (AdaptionPromptConfig, CartridgeConfig, CPTConfig, MultitaskPromptTuningConfig, PeftModel, PrefixTuningConfig,
                  PromptEncoderConfig, PromptTuningConfig, get_peft_model)
from peft.utils import load_peft_weights
from support import ROOT, expect_close, llama, qwen2, run_cases, saved, token_rows, write_rows

TASK = {"task_type": "CAUSAL_LM"}


def python_logprobs(model, ids):
    """The log-probability of each token after the first; those of the prompt's positions left out."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -len(ids):]
    logprobs = torch.log_softmax(logits.double(), -1)
    return logprobs[torch.arange(len(ids) - 1), ids[1:]]


def expect_same_scores(model, what, **flags):
    rows = token_rows(4)
    answers = support.scores(input=write_rows(rows, "score_rows.jsonl"), dtype="float32", **flags)
    for row, answer in zip(rows, answers, strict=True):
        expect_close(answer["logprobs"], python_logprobs(model, row["input_ids"]), 1e-5, what)


def write_here(folder, config, out):
    path = support.WORK / "config.json"
    path.write_text(json.dumps(config.to_dict(), default=list))
    program = Path(support.PEFT).with_name("write_prompt")
    subprocess.run([program, folder, path, out], check=True)


def written_here(make_base, config_class, **options):
    base = make_base()
    folder, out = saved(base, "base"), support.WORK / "adapter"
    write_here(folder, config_class(**TASK, **options), out)
    plain = [python_logprobs(base, row["input_ids"]) for row in token_rows(4)]
    model = PeftModel.from_pretrained(base, out)
    moved = [python_logprobs(model, row["input_ids"]) for row in token_rows(4)]
    assert max((a - b).abs().max().item() for a, b in zip(moved, plain)) > 1e-2, "it changes nothing"
    expect_same_scores(model, "written here", model_name_or_path=folder, adapter=out)


def several_tasks_here():
    """Python keeps the numbers of a prompt of several tasks, and writes the same file again."""
    base, out = llama(), support.WORK / "adapter"
    write_here(saved(base, "base"), MultitaskPromptTuningConfig(**TASK, num_virtual_tokens=3, num_tasks=2, num_ranks=2), out)
    model = PeftModel.from_pretrained(base, out)
    model(input_ids=torch.tensor([[4, 5, 6]]), task_ids=torch.tensor([1]))
    model.save_pretrained(support.WORK / "again")
    ours, again = load_peft_weights(out), load_peft_weights(support.WORK / "again")
    assert set(ours) == set(again), sorted(set(ours) ^ set(again))
    assert all(torch.equal(ours[key], again[key]) for key in ours)
    configs = [json.loads((folder / "adapter_config.json").read_text()) for folder in (out, support.WORK / "again")]
    assert configs[0] == configs[1], configs


def texts_to_begin_with():
    """A prompt that begins with a text has Python's tokens, whatever the arguments of the tokenizer are."""
    folder, name = saved(llama(vocab_size=800), "base"), support.WORK / "tokenizer"
    name.mkdir()
    shutil.copy(ROOT / "tests/tokenizers/golden/roberta.json", name / "tokenizer.json")
    (name / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    seen = []
    for i, kwargs in enumerate((None, {"add_prefix_space": True, "use_fast": False},
                                {"add_prefix_space": False, "padding_side": "left", "trust_remote_code": True,
                                 "revision": "main", "subfolder": ""})):
        options = dict(num_virtual_tokens=9, prompt_tuning_init="TEXT", prompt_tuning_init_text="Hello the end",
                       tokenizer_name_or_path=str(name), tokenizer_kwargs=kwargs)
        out = support.WORK / f"out{i}"
        support.peft("train", model_name_or_path=folder, output_dir=out, dataset_name=write_rows(token_rows(2), "rows.jsonl"),
                     peft_type="PROMPT_TUNING", peft_config=json.dumps(options), max_steps=1, learning_rate=0)
        ours = load_peft_weights(out)["prompt_embeddings"]
        model = get_peft_model(llama(vocab_size=800), PromptTuningConfig(**TASK, **options))
        expect_close(ours, model.prompt_encoder["default"].embedding.weight.detach(), 1e-6, f"{kwargs}")
        seen.append(ours)
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def written_by_python(make_base, config_class, **options):
    base = make_base()
    folder = saved(base, "base")
    torch.manual_seed(5)
    model = get_peft_model(base, config_class(**TASK, **options)).eval()
    for name, parameter in model.named_parameters():
        if "prompt_encoder" in name or "adaption_" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(support.WORK / "adapter")
    expect_same_scores(model, "written by Python", model_name_or_path=folder,
                       adapter=support.WORK / "adapter")


here = functools.partial(functools.partial, written_here)
python = functools.partial(functools.partial, written_by_python)
METHODS = {
    "prompt tuning": (PromptTuningConfig, dict(num_virtual_tokens=4)),
    "prompt tuning, random tokens": (PromptTuningConfig, dict(num_virtual_tokens=4, prompt_tuning_init="SAMPLE_VOCAB")),
    "prompt tuning, a saved head": (PromptTuningConfig, dict(num_virtual_tokens=4, modules_to_save=["lm_head"])),
    "prefix tuning": (PrefixTuningConfig, dict(num_virtual_tokens=4)),
    "prefix tuning, a network": (PrefixTuningConfig, dict(num_virtual_tokens=4, prefix_projection=True)),
    "P-tuning": (PromptEncoderConfig, dict(num_virtual_tokens=4)),
    "P-tuning, LSTM": (PromptEncoderConfig, dict(num_virtual_tokens=4, encoder_reparameterization_type="LSTM")),
    "CPT": (CPTConfig, dict(cpt_token_ids=[4, 5, 6, 7], cpt_mask=[1] * 4, cpt_tokens_type_mask=[1, 2, 3, 4],
                            opt_projection_epsilon=9.0, opt_projection_format_epsilon=9.0)),
    "cartridge": (CartridgeConfig, dict(num_virtual_tokens=4)),
    "adaption prompt": (AdaptionPromptConfig, dict(adapter_len=4, adapter_layers=2)),
}
CASES = {"here: several tasks": several_tasks_here, "here: texts to begin with": texts_to_begin_with}
for name, (config_class, options) in METHODS.items():
    CASES[f"here: {name}"] = here(llama, config_class, **options)
    CASES[f"python: {name}"] = python(llama, config_class, **options)
for name in ("prompt tuning", "prefix tuning"):
    config_class, options = METHODS[name]
    CASES[f"here: {name}, a tied model"] = here(qwen2, config_class, **options)
    CASES[f"python: {name}, a tied model"] = python(qwen2, config_class, **options)
run_cases(CASES)
