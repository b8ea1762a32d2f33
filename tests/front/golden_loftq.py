"""Writes tests/front/golden_loftq: LoRA weights as replace_lora_weights_loftq of Python PEFT leaves them.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_loftq.py
Layers quantised by bitsandbytes need a GPU there, so plain layers stand in for them here, whose weights are the numbers
that quantising left: base.safetensors; model.safetensors has those from before. `before.<key>` of run.safetensors are the
adapter's first values, `after.<key>` those after the function, `kept.<key>` those where a callback kept lin1 alone.
"""
import pathlib
import shutil
import sys
import types

import torch
from golden import parameters
from golden_variants import Mixed
from peft import LoraConfig, get_peft_model
from peft.tuners import lora
from peft.utils import loftq_utils
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden_loftq"
STEP = 1 / 16


def stand_in_for_bitsandbytes():
    functional = types.SimpleNamespace(dequantize_4bit=lambda data, state: data)
    sys.modules["bitsandbytes"] = types.SimpleNamespace(functional=functional)
    loftq_utils.is_bnb_4bit_available = lambda: True
    lora.Linear4bit = lora.Linear
    move = torch.Tensor.to
    torch.Tensor.to = lambda tensor, *args, device=None, **kwargs: move(tensor, *args, **kwargs)


def quantised(state):
    coarse = {k: v.clone() for k, v in state.items()}
    for name in ("lin1.weight", "lin2.weight", "head.weight"):
        coarse[name] = torch.round(coarse[name] / STEP) * STEP
    return coarse


def adapted(state, adapter):
    base = Mixed()
    base.load_state_dict(state)
    model = get_peft_model(base, LoraConfig(r=3, lora_alpha=3, target_modules=["lin1", "lin2", "head", "conv"]))
    for name, module in model.named_modules():
        if isinstance(module, lora.Linear):
            module.weight.quant_state = None
    if adapter:
        model.load_state_dict({k: v for k, v in adapter.items()}, strict=False)
    return model


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    torch.manual_seed(0)
    state = {k: v.clone() for k, v in Mixed().state_dict().items()}
    save_file(state, OUT / "model.safetensors")
    save_file(quantised(state), OUT / "base.safetensors")
    model = adapted(quantised(state), None)
    first = {k: v.clone() for k, v in model.state_dict().items() if "lora_" in k}
    tensors = {f"before.{k}": v for k, v in parameters(model).items()}
    stand_in_for_bitsandbytes()
    path = str(OUT / "model.safetensors")
    loftq_utils.replace_lora_weights_loftq(model, path)
    tensors |= {f"after.{k}": v for k, v in parameters(model).items()}
    model = adapted(quantised(state), first)
    loftq_utils.replace_lora_weights_loftq(model, path, callback=lambda _, name: name == "lin1")
    tensors |= {f"kept.{k}": v for k, v in parameters(model).items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / "run.safetensors")


if __name__ == "__main__":
    main()
