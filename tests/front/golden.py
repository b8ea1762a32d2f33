"""Writes tests/front/golden: adapters that Python PEFT saved, with what the model then computes.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden.py
Each folder is an adapter as save_pretrained leaves it, and run.safetensors holds `output`, `merged`,
`grad.<key>` (of output.square().sum()), and `after.<key>` (after three SGD steps).
"""
import json
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

OUT = pathlib.Path(__file__).parent / "golden"


class Zoo(nn.Module):
    """One layer of each kind."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin1 = nn.Linear(8, 8)
        self.attn = nn.MultiheadAttention(8, 2)
        self.conv = nn.Conv1d(8, 6, 3, padding=1)
        self.norm = nn.LayerNorm(6)
        self.classifier = nn.Linear(6, 3)

    def forward(self, ids):
        h = torch.relu(self.lin1(self.emb(ids)))
        t = h.transpose(0, 1)
        h = h + self.attn(t, t, t)[0].transpose(0, 1)
        c = self.norm(self.conv(h.transpose(1, 2)).transpose(1, 2))
        return self.classifier(c.mean(1))


class Images(nn.Module):
    """Convolutions with strides, groups, a 1x1 kernel and three dimensions."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.conv2 = nn.Conv2d(6, 4, 1)
        self.conv3 = nn.Conv3d(2, 3, 2)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        h = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        h = self.conv3(h.view(h.shape[0], 2, 2, h.shape[2], h.shape[3]))
        return self.head(h.mean((2, 3, 4)))


class Transposed(nn.Module):
    """GPT-2's layers, whose weights are stored as [in, out]."""

    def __init__(self):
        super().__init__()
        self.c_attn = Conv1D(6, 8)
        self.c_proj = Conv1D(8, 6)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.c_proj(torch.relu(self.c_attn(x))))


CASES = {
    "all_kinds": (Zoo, dict(r=3, lora_alpha=5, target_modules=["emb", "lin1", "attn", "conv"])),
    "patterns": (Zoo, dict(r=4, lora_alpha=6, target_modules=["lin1", "conv", "classifier"],
                           use_rslora=True, rank_pattern={"^lin1": 2, "con": 7, "conv": 5},
                           alpha_pattern={"classifier": 3})),
    "bias_all": (Zoo, dict(r=2, target_modules=["lin1", "attn"], bias="all")),
    "bias_lora_only": (Zoo, dict(r=2, target_modules=["lin1", "attn", "conv"], bias="lora_only")),
    "lora_bias": (Zoo, dict(r=2, target_modules=["lin1", "conv"], lora_bias=True)),
    "saved": (Zoo, dict(r=2, target_modules=["lin1"], modules_to_save=["classifier", "norm"])),
    "regex": (Zoo, dict(r=2, target_modules=r"(lin|co)\w+\d?", exclude_modules=["conv"])),
    # Without out_proj: Python puts an adapter on it that its attention never reads.
    "all_linear": (Zoo, dict(r=2, target_modules="all-linear", exclude_modules=["out_proj"])),
    "scripted": (Zoo, dict(r=3, target_modules=["emb", "lin1", "conv"])),
    # fan_in_fan_out is set right by the layers themselves: true here, and false again by `out`.
    "transposed": (Transposed, dict(r=3, lora_alpha=5, target_modules=["c_attn", "c_proj"])),
    "transposed_and_linear": (Transposed, dict(r=2, lora_alpha=1, target_modules="all-linear",
                                                 bias="lora_only")),
    "images": (Images, dict(r=4, target_modules=["conv1", "conv2", "conv3", "head"])),
}
INPUTS = {
    Zoo: lambda: torch.randint(0, 11, (3, 5)),
    Images: lambda: torch.randn(2, 4, 6, 6),
    Transposed: lambda: torch.randn(2, 4, 8),
}
# Small: with steps of 0.05 one case turned a change of 1e-6 into 0.09, in Python alone.
LEARNING_RATE = 0.005

# A grouped convolution cannot be merged, and Conv3d's delta is merged by Python in another order.
UNMERGEABLE = {"images"}


def randomise(model):
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = torch.randn(p.shape) * 0.4


def parameters(model, adapter="default"):
    return {k: v.detach().clone() for k, v in get_peft_model_state_dict(model, adapter_name=adapter).items()}


def gradients(model, adapter="default"):
    """Gradients under the keys of the file: the state dict with each tensor swapped for its gradient."""
    state = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        state[name] = p.grad if p.grad is not None else torch.zeros_like(p)
    for name, b in model.named_buffers():
        state[name] = b
    return get_peft_model_state_dict(model, state_dict=state, adapter_name=adapter)


def run(model, x, merge):
    tensors = {"input": x}
    out = model(x)
    tensors["output"] = out.detach().clone()
    if merge:
        model.merge_adapter()
        tensors["merged"] = model(x).detach().clone()
        model.unmerge_adapter()
    out.square().sum().backward()
    tensors |= {f"grad.{k}": v.clone() for k, v in gradients(model).items()}
    model.zero_grad()
    sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    for _ in range(3):
        sgd.zero_grad()
        model(x).square().sum().backward()
        sgd.step()
    tensors |= {f"after.{k}": v for k, v in parameters(model).items()}
    return {k: v.contiguous() for k, v in tensors.items()}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, (net, options) in CASES.items():
        torch.manual_seed(0)
        base = net()
        folder = OUT / name
        folder.mkdir(parents=True)
        base_state = {k: v.clone() for k, v in base.state_dict().items()}
        x = INPUTS[net]()
        if name == "scripted":
            torch.jit.save(torch.jit.script(base), folder / "module.pt")
        model = get_peft_model(base, LoraConfig(**options))
        randomise(model)
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        save_file(base_state, folder / "base.safetensors")
        save_file(run(model, x, name not in UNMERGEABLE), folder / "run.safetensors")
    torch.manual_seed(0)
    base = Zoo()
    base_state = {k: v.clone() for k, v in base.state_dict().items()}
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["lin1"]))
    model.add_adapter("other", LoraConfig(r=3, target_modules=["lin1", "conv"], modules_to_save=["norm"]))
    model.base_model.set_adapter(["default", "other"])
    randomise(model)
    folder = OUT / "named"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    x = torch.randint(0, 11, (3, 5))
    tensors = {"input": x, "both": model(x).detach()}
    for adapter in ("default", "other"):
        model.set_adapter(adapter)
        tensors[adapter] = model(x).detach()
    save_file(base_state, folder / "base.safetensors")
    save_file(tensors, folder / "run.safetensors")
    layers = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))
    torch.jit.save(torch.jit.script(layers), OUT / "scripted_layers.pt")
    (OUT / "cases.json").write_text(json.dumps(sorted(CASES), indent=1) + "\n")


if __name__ == "__main__":
    main()
