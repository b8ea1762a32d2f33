"""Python PEFT's side of bench/compare, run by the oracle's python.

usage: python_side.py prepare GGUF FOLDER        the model and an adapter as Hugging Face folders
       python_side.py train MODEL DTYPE STEPS
       python_side.py load MODEL ADAPTER COUNT
       python_side.py generate MODEL ADAPTER DTYPE PROMPT NEW_TOKENS

Each prints one JSON object, but generate, which prints its text.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

BATCH, LENGTH = 4, 256


def load(folder, dtype):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))


def prepare(gguf, folder):
    """Both sides read the same files, in the type they compute with."""
    from peft import LoraConfig, get_peft_model
    gguf, folder = Path(gguf), Path(folder)
    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(read.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for dtype in ("float32", "bfloat16"):
        plain.to(getattr(torch, dtype)).save_pretrained(folder / dtype)
        tokenizer.save_pretrained(folder / dtype)
    torch.manual_seed(0)
    model = get_peft_model(load(folder / "float32", "float32"), LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM",
        init_lora_weights=False))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.mul_(0.1)
    model.save_pretrained(folder / "adapter")
    print(json.dumps({"prepared": str(folder)}))


def train(folder, dtype, steps):
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(1)
    model = get_peft_model(load(folder, dtype), LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trained)
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)  # the Trainer's default
    ids = torch.randint(3, model.config.vocab_size, (BATCH, LENGTH))
    times, first_loss, first_norm = [], 0.0, 0.0
    for step in range(int(steps)):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        if step == 0:
            first_loss = loss.item()
            first_norm = sum(p.grad.square().sum().item() for p in trained) ** 0.5
        optimizer.step()
        times.append(time.perf_counter() - start)
    print(json.dumps({
        "fastest_step_s": min(times), "median_step_s": sorted(times)[len(times) // 2],
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "first_loss": first_loss, "first_gradient_norm": first_norm}))


def load_adapters(folder, adapter, count):
    from peft import PeftModel
    model = PeftModel.from_pretrained(load(folder, "float32"), adapter)
    loads, switches = [], []
    for index in range(int(count)):
        start = time.perf_counter()
        model.load_adapter(adapter, adapter_name=f"a{index}")
        loads.append(time.perf_counter() - start)
    for index in range(int(count)):
        start = time.perf_counter()
        model.set_adapter(f"a{index}")
        switches.append(time.perf_counter() - start)
    print(json.dumps({"load_s": loads,
                      "set_adapter_ms": 1e3 * sorted(switches)[len(switches) // 2]}))


def generate(folder, adapter, dtype, prompt, new_tokens):
    from peft import PeftModel
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = PeftModel.from_pretrained(load(folder, dtype), adapter).eval()
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        out = model.generate(**ids, max_new_tokens=int(new_tokens), min_new_tokens=int(new_tokens),
                             do_sample=False)
    print(tokenizer.decode(out[0, ids.input_ids.shape[1]:]))


if __name__ == "__main__":
    torch.set_num_threads(2)
    {"prepare": prepare, "train": train, "load": load_adapters,
     "generate": generate}[sys.argv[1]](*sys.argv[2:])
