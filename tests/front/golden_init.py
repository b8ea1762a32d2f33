"""Writes tests/front/golden_init: adapters that begin with a part of the base weights, trained by Python PEFT.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_init.py
In each folder: `initial` and `trained`, the adapter before and after three SGD steps as save_pretrained leaves it;
`converted`, the trained one as plain LoRA; base.safetensors, the model before; run.safetensors with `residual.<name>`
(base weights after the beginning), `trained_output`, and what tests/front/golden.py writes.
"""
import dataclasses
import pathlib
import shutil
import sys
import types

import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

sys.modules.setdefault("attr", types.SimpleNamespace(dataclass=dataclasses.dataclass))
from golden import run  # noqa: E402
from peft import (EvaConfig, LoraConfig, LoraGAConfig, get_peft_model,  # noqa: E402
                  initialize_lora_eva_weights)
from peft.tuners.lora.config import CordaConfig  # noqa: E402
from peft.tuners.lora.corda import preprocess_corda  # noqa: E402
from peft.tuners.lora.eva import get_eva_state_dict  # noqa: E402
from peft.tuners.lora.loraga import preprocess_loraga  # noqa: E402

OUT = pathlib.Path(__file__).parent / "golden_init"


class Mixed(nn.Module):
    """An embedding and linear layers of both orientations."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin1 = nn.Linear(8, 6)
        self.c_fc = Conv1D(5, 6)
        self.lin2 = nn.Linear(5, 7)

    def forward(self, ids):
        return self.lin2(torch.tanh(self.c_fc(torch.relu(self.lin1(self.emb(ids))))))


class Heads(nn.Module):
    """Layers that are given one input, as in an attention, and others."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.q = nn.Linear(8, 8)
        self.k = nn.Linear(8, 8)
        self.o = nn.Linear(8, 8)
        self.out = nn.Linear(8, 6)

    def forward(self, ids):
        h = self.emb(ids)
        return self.out(torch.relu(self.o(torch.tanh(self.q(h)) * self.k(h))))


LINEAR = ["lin1", "c_fc", "lin2"]
CASES = {
    "pissa": dict(r=3, lora_alpha=5, init_lora_weights="pissa", target_modules=LINEAR),
    "pissa_niter": dict(r=3, lora_alpha=5, init_lora_weights="pissa_niter_64", target_modules=LINEAR),
    "olora": dict(r=3, lora_alpha=5, init_lora_weights="olora", target_modules=["lin1", "lin2"]),
    "mica": dict(r=2, init_lora_weights="mica", target_modules=["emb", *LINEAR]),
    "corda": dict(r=2, lora_alpha=5, init_lora_weights="corda", corda_config=CordaConfig(), target_modules=LINEAR,
                  rank_pattern={"lin2": 3}),
    "lora_ga": dict(r=2, lora_alpha=5, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(),
                    target_modules=LINEAR),
}
# In Python these cannot be converted: MiCA leaves the base as it is, and keys of embeddings are lost.
NOT_CONVERTED = {"mica"}


def run_and_answer(model, x):
    tensors = run(model, x, merge=False)
    tensors["trained_output"] = model(x).detach()
    return {k: v.contiguous().clone() for k, v in tensors.items()}


def base_weights(model):
    return {name.replace("base_model.model.", "").replace("base_layer.", ""): tensor.detach().clone()
            for name, tensor in model.named_parameters() if "lora_" not in name}


def preprocess(name, base, config, rows):
    if name == "corda":
        preprocess_corda(base, config, run_model=lambda: [base(row[None]) for row in rows])
    if name == "lora_ga":
        preprocess_loraga(base, config, lambda: [base(row[None]).square().sum().backward() for row in rows])


def trained_case(name, options):
    torch.manual_seed(0)
    base, x, rows = Mixed(), torch.randint(0, 11, (3, 5)), torch.randint(0, 11, (6, 9))
    folder = OUT / name
    folder.mkdir(parents=True)
    save_file({k: v.clone() for k, v in base.state_dict().items()}, folder / "base.safetensors")
    config = LoraConfig(**options)
    preprocess(name, base, config, rows)
    model = get_peft_model(base, config)
    residual = {f"residual.{k}": v for k, v in base_weights(model).items()}
    model.save_pretrained(folder / "initial")
    tensors = run_and_answer(model, x) | residual | {"rows": rows}
    model.save_pretrained(folder / "trained")
    if name not in NOT_CONVERTED:
        model.save_pretrained(folder / "converted", path_initial_model_for_weight_conversion=str(folder / "initial"))
    for readme in folder.glob("*/README.md"):
        readme.unlink()
    save_file(tensors, folder / "run.safetensors")


def eva_case(name, settings, **options):
    torch.manual_seed(0)
    base, x = Heads(), torch.randint(0, 11, (3, 5))
    batches = []
    for _ in range(4):
        mask = (torch.arange(16) < torch.tensor([[16], [12], [16], [9], [16]])).long()
        ids = torch.randint(0, 11, (5, 16))
        batches.append({"input_ids": ids, "attention_mask": mask, "labels": torch.where(ids < 2, -100, ids)})
    folder = OUT / name
    folder.mkdir(parents=True)
    save_file({k: v.clone() for k, v in base.state_dict().items()}, folder / "base.safetensors")
    config = LoraConfig(init_lora_weights="eva", eva_config=EvaConfig(**settings),
                        target_modules=["emb", "q", "k", "o", "out"], **options)
    model = get_peft_model(base, config)
    forward = dict(forward_fn=lambda m, batch: m(batch["input_ids"]), show_progress_bar=False)
    components = get_eva_state_dict(model, batches, **forward)
    initialize_lora_eva_weights(model, batches, **forward)
    tensors = {"input": x, "output": model(x).detach()}
    for index, batch in enumerate(batches):
        tensors |= {f"batch.{index}.{key}": value for key, value in batch.items()}
    prefix = "base_model.model."
    tensors |= {f"components.{key.removeprefix(prefix)}": value for key, value in components.items()}
    model.save_pretrained(folder / "trained")
    (folder / "trained" / "README.md").unlink()
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / "run.safetensors")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, options in CASES.items():
        trained_case(name, options)
    eva_case("eva", {"rho": 2.0}, r=2, lora_alpha=3)
    eva_case("eva_whiten", {"rho": 1.0, "whiten": True, "adjust_scaling_factors": False, "use_label_mask": False}, r=2)


if __name__ == "__main__":
    main()
