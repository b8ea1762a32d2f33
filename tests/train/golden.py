"""Golden numbers for the training tests: learning-rate schedules, AdamW, clipping, decay groups.

Run with torch 2.11.0 and transformers 5.17.0:  python tests/train/golden.py
Seed 0. Writes tests/train/golden/training.json.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import Trainer, TrainingArguments, get_scheduler

SCHEDULES = [
    ("constant", 10, 0),
    ("constant_with_warmup", 10, 3),
    ("linear", 10, 0),
    ("linear", 10, 4),
    ("linear", 7, 0.25),
    ("cosine", 12, 0),
    ("cosine", 12, 5),
    ("cosine", 9, 0.1),
]

NAMES = [
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.bias",
    "base_model.model.model.layers.0.input_layernorm.weight",
    "base_model.model.model.norm.modules_to_save.default.weight",
    "base_model.model.model.layers.0.self_attn.q_norm.weight",
    "base_model.model.lm_head.weight",
    "base_model.model.model.normal.weight",
]


def schedule(name, total, warmup):
    arguments = TrainingArguments(output_dir="unused", warmup_steps=warmup)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    scheduler = get_scheduler(name, optimizer, arguments.get_warmup_steps(total), total)
    factors = []
    for _ in range(total):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"name": name, "total": total, "warmup": warmup, "factors": factors}


def adamw(weight_decay):
    torch.manual_seed(0)
    decayed = torch.nn.Parameter(torch.randn(3, 5))
    plain = torch.nn.Parameter(torch.randn(4))
    first = [decayed.tolist(), plain.tolist()]
    optimizer = torch.optim.AdamW(
        [{"params": [decayed], "weight_decay": weight_decay}, {"params": [plain], "weight_decay": 0.0}],
        lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
    gradients, norms = [], []
    for step in range(6):
        decayed.grad = torch.randn(3, 5) * (step + 1)
        plain.grad = torch.randn(4)
        gradients.append([decayed.grad.tolist(), plain.grad.tolist()])
        norms.append(torch.nn.utils.clip_grad_norm_([decayed, plain], 1.0).item())
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 10)
        optimizer.step()
    return {"weight_decay": weight_decay, "first": first, "gradients": gradients, "norms": norms,
            "last": [decayed.tolist(), plain.tolist()]}


def module_tree():
    root = torch.nn.Module()
    for name in NAMES:
        module, parts = root, name.split(".")
        for part in parts[:-1]:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.register_parameter(parts[-1], torch.nn.Parameter(torch.zeros(1)))
    return root


def main():
    decayed = set(Trainer.get_decay_parameter_names(None, module_tree()))
    golden = {
        "made_by": f"tests/train/golden.py, torch {torch.__version__}, transformers {transformers.__version__}",
        "schedules": [schedule(*case) for case in SCHEDULES],
        "adamw": [adamw(0.0), adamw(0.1)],
        "decay": {name: name in decayed for name in NAMES},
    }
    path = Path(__file__).parent / "golden" / "training.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
