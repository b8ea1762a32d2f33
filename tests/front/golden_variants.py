"""Writes tests/front/golden_variants: adapters of LoRA's variants that Python PEFT saved, with what the model then computes.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_variants.py
The folders are laid out as those of golden.py.
"""
import json
import pathlib
import shutil
import types

import torch
from golden import Images, Transposed, parameters, randomise, run
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer, create_riemannian_optimizer
from peft.tuners.lora.variants import QALoraLinearVariant, calculate_alora_offsets
from safetensors.torch import save_file
from torch import nn

OUT = pathlib.Path(__file__).parent / "golden_variants"


class Mixed(nn.Module):
    """An embedding, linear layers with and without a bias, and a convolution."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin1 = nn.Linear(8, 8)
        self.lin2 = nn.Linear(8, 8, bias=False)
        self.conv = nn.Conv1d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, ids):
        h = torch.relu(self.lin1(self.emb(ids)))
        h = h + self.lin2(h)
        c = torch.relu(self.conv(h.transpose(1, 2)).transpose(1, 2))
        return self.head(c)


class Stack(nn.Module):
    """Three experts whose matrices are parameters: [experts, out, in], or [experts, in, out]."""

    def __init__(self, is_transposed):
        super().__init__()
        self.is_transposed = is_transposed
        self.up = nn.Parameter(torch.randn(3, 6, 4).transpose(1, 2).contiguous() if is_transposed
                               else torch.randn(3, 6, 4))
        self.down = nn.Parameter(torch.randn(3, 4, 6).transpose(1, 2).contiguous() if is_transposed
                                 else torch.randn(3, 4, 6))

    def forward(self, x):
        up, down = self.up, self.down
        if not self.is_transposed:
            up, down = up.transpose(1, 2), down.transpose(1, 2)
        return torch.bmm(torch.relu(torch.bmm(x.expand(3, -1, -1), up)), down).sum(0)


class Experts(nn.Module):
    """A linear layer, a matrix of a module's own and two stacks of experts."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.plain = Stack(False)
        self.turned = Stack(True)

    def forward(self, x):
        h = self.lin(x)
        return self.turned(h + self.plain(h))


CASES = {
    "dora": (Mixed, dict(r=3, lora_alpha=5, target_modules=["emb", "lin1", "lin2", "conv"], use_dora=True)),
    "dora_transposed": (Transposed, dict(r=3, lora_alpha=5, target_modules=["c_attn", "c_proj"], use_dora=True)),
    "dora_images": (Images, dict(r=4, target_modules=["conv1", "conv2", "conv3", "head"], use_dora=True)),
    "tokens": (Mixed, dict(r=2, target_modules=["lin1"], trainable_token_indices={"emb": [7, 1, 4]})),
    "tokens_dora": (Mixed, dict(r=2, target_modules=["lin1", "conv"], use_dora=True,
                                trainable_token_indices={"emb": [0]})),
    "parameters": (Experts, dict(r=2, lora_alpha=3, target_modules=[], rank_pattern={"plain.up": 3},
                                 target_parameters=["plain.up", "plain.down", "turned.up", "turned.down",
                                                    "lin.weight"])),
    "parameters_and_modules": (Experts, dict(r=2, target_modules=["lin"], target_parameters=["turned.down"])),
    "bdlora": (Mixed, dict(r=4, target_modules=["lin1", "lin2", "head"], use_bdlora=dict(
        target_modules_bd_a=["lin1"], target_modules_bd_b=["lin2"], nblocks=2, match_strict=False))),
    "velora": (Mixed, dict(r=2, target_modules=["lin1", "lin2"], velora_config=dict(num_groups=3, scale=0.5))),
    "kasa": (Mixed, dict(r=3, target_modules=["lin1", "lin2"], kasa_config=dict(beta=0.01, gamma=0.02))),
    "monteclora": (Mixed, dict(r=2, target_modules=["lin1", "lin2"], monteclora_config=dict(
        num_samples=3, use_entropy=True, sample_scaler=0.1, kl_loss_weight=0.01, buffer_size=2))),
    "alora": (Mixed, dict(r=2, target_modules=["lin1", "lin2"], alora_invocation_tokens=[3, 5],
                          task_type="CAUSAL_LM")),
}
INPUTS = {
    Mixed: lambda: torch.randint(0, 11, (3, 5)),
    Images: lambda: torch.randn(2, 4, 6, 6),
    Transposed: lambda: torch.randn(2, 4, 8),
    Experts: lambda: torch.randn(5, 4),
}
# Found late, twice, and not at all.
INVOKED = torch.tensor([[1, 2, 0, 3, 5], [3, 5, 3, 5, 9], [3, 2, 5, 1, 4]])
UNMERGEABLE = {"dora_images", "alora"}


def with_offsets(model):
    """Calls that know where their tokens are, as those of PeftModelForCausalLM do."""
    plain = model.forward

    def forward(ids):
        offsets = calculate_alora_offsets(model.peft_config, "default", ids)
        return plain(ids, alora_offsets=offsets)

    model.forward = forward


def train_with(optimizer_of, targets, steps=3):
    """A small adapter after some steps of an optimiser, with what it began with."""
    torch.manual_seed(1)
    base = Mixed()
    tensors = {f"base.{k}": v.clone() for k, v in base.state_dict().items()}
    model = get_peft_model(base, LoraConfig(r=2, lora_alpha=3, target_modules=targets, bias="lora_only",
                                            use_rslora=True))
    randomise(model)
    tensors |= {f"before.{k}": v for k, v in parameters(model).items()}
    x = torch.randint(0, 11, (3, 5))
    tensors["input"] = x
    optimizer = optimizer_of(model)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    tensors |= {f"after.{k}": v for k, v in parameters(model).items()}
    return {k: v.contiguous() for k, v in tensors.items()}


def write_optimizers():
    folder = OUT / "optimizers"
    folder.mkdir()
    runs = {
        "loraplus": lambda m: create_loraplus_optimizer(m, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8,
                                                         loraplus_weight_decay=0.1, loraplus_lr_embedding=5e-4),
        "riemannian": lambda m: create_riemannian_optimizer(m, torch.optim.SGD, lr=1e-3, reg=0.05),
        "lorafa": lambda m: create_lorafa_optimizer(m, r=2, lora_alpha=3, lr=1e-3, weight_decay=0.1),
    }
    for name, optimizer_of in runs.items():
        # Python's LoRA-FA has no road for convolutions.
        targets = ["emb", "lin1"] if name == "lorafa" else ["emb", "lin1", "conv"]
        save_file(train_with(optimizer_of, targets), folder / f"{name}.safetensors")


def write_qalora():
    """The formula alone: its layers are those of a grouped quantisation."""
    torch.manual_seed(2)
    module = types.SimpleNamespace(
        lora_A={"a": nn.Linear(3, 2, bias=False)}, lora_B={"a": nn.Linear(2, 5, bias=False)},
        lora_dropout={"a": nn.Identity()}, scaling={"a": 0.75}, qalora_group_size={"a": 4}, in_features=12,
        training=True)
    x = torch.randn(2, 3, 12)
    y = QALoraLinearVariant.forward(module, "a", x, torch.zeros(2, 3, 5))
    save_file({"x": x, "a": module.lora_A["a"].weight.detach(), "b": module.lora_B["a"].weight.detach(),
               "y": y.detach()}, OUT / "qalora.safetensors")


def with_noise(model):
    """The same random numbers in every call; returns them."""
    noise = {}
    for name in ("lin1", "lin2"):
        sampler = getattr(model.base_model.model, name).lora_monteclora_sampler["default"]
        sample = {"z_mvn": torch.randn(3, 8, 2), "z_wishart": torch.diag(1 + torch.rand(2)),
                  "z_dirichlet": torch.randn(3)}
        sampler.sampler.get = lambda sample=sample: sample
        noise |= {f"{name}.{key}": value for key, value in sample.items()}
    return noise


def extra_loss(model, name):
    if name == "kasa":
        return {"loss": model.base_model._get_kasa_loss().detach()}
    if name == "monteclora":
        return {"loss": model.base_model._get_monteclora_loss().detach()}
    return {}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, (net, options) in CASES.items():
        torch.manual_seed(0)
        base = net()
        folder = OUT / name
        folder.mkdir(parents=True)
        base_state = {k: v.clone() for k, v in base.state_dict().items()}
        x = INVOKED if name == "alora" else INPUTS[net]()
        config = LoraConfig(**options)
        task, config.task_type = config.task_type, None
        model = get_peft_model(base, config)
        randomise(model)
        config.task_type = task
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        save_file(base_state, folder / "base.safetensors")
        if name == "alora":
            with_offsets(model)
        tensors = with_noise(model) if name == "monteclora" else {}
        tensors |= extra_loss(model, name)
        save_file(run(model, x, name not in UNMERGEABLE) | tensors, folder / "run.safetensors")
    write_optimizers()
    write_qalora()
    (OUT / "cases.json").write_text(json.dumps(sorted(CASES), indent=1) + "\n")


if __name__ == "__main__":
    main()
