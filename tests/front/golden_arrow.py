"""Writes tests/front/golden_arrow: adapters of several tasks, and what Python PEFT computes where Arrow routes to them.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_arrow.py
Each case is a folder: base.safetensors, `task_<i>`, `gks_<i>` and `late` with adapters as save_pretrained leaves them,
`arrow_router` with what it leaves of the router, and run.safetensors. That holds `input`, `output`,
`prototypes.<layer>`, `grad.<key>` of task_0 for output.square().sum(), `task_0.<key>` after the call, `late` (the output
once the adapter `late` is loaded too), and `mixed` (rows for ROWS).
"""
import json
import pathlib
import shutil

import torch
from golden import Transposed, gradients, parameters, randomise
from golden_variants import Mixed
from peft import ArrowConfig, LoraConfig, create_arrow_model, get_peft_model
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden_arrow"
ROWS = ["task_1", "__base__", "arrow_router"]
# Targets, how many task and general adapters, and the settings.
CASES = {
    "routed": (Mixed, ["lin1", "lin2"], 3, 0, dict(top_k=2, router_temperature=0.7, rng_seed=42)),
    "one_of_three": (Mixed, ["lin1"], 3, 0, dict(top_k=1, rng_seed=7)),
    "without_general": (Mixed, ["lin1", "lin2"], 2, 2, dict(top_k=2, use_gks=True, router_temperature=2.5, rng_seed=3)),
    "transposed": (Transposed, ["c_attn", "c_proj"], 3, 0, dict(top_k=2, rng_seed=-1)),
}
INPUTS = {
    Mixed: lambda: torch.randint(0, 11, (3, 5)),
    Transposed: lambda: torch.randn(3, 4, 8),
}


def fresh(net, state):
    base = net()
    base.load_state_dict(state)
    return base


def write_adapter(net, state, folder, targets, alpha):
    model = get_peft_model(fresh(net, state), LoraConfig(r=2, lora_alpha=alpha, target_modules=targets))
    randomise(model)
    save_to(model, folder)


def save_to(model, folder, **options):
    model.save_pretrained(folder, **options)
    for card in folder.rglob("README.md"):
        card.unlink()
    (folder / "README.md").unlink(missing_ok=True)


def prototypes(model):
    found = {}
    for name, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_arrow"):
            found[f"prototypes.{name}"] = module.lora_arrow["arrow_router"].prototypes.clone()
    return found


def run(model, x, late):
    tensors = {"input": x}
    model.base_model.set_requires_grad(["task_0"], True)
    out = model(x)
    tensors["output"] = out.detach().clone()
    tensors |= prototypes(model)
    out.square().sum().backward()
    tensors |= {f"grad.{k}": v.clone() for k, v in gradients(model, "task_0").items()}
    tensors |= {f"task_0.{k}": v for k, v in parameters(model, "task_0").items()}
    model.eval()
    with torch.no_grad():
        tensors["mixed"] = model(x, adapter_names=ROWS).clone()
        model.load_adapter(late, adapter_name="late")
        tensors["late"] = model(x).clone()
    return {k: v.contiguous() for k, v in tensors.items()}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, (net, targets, tasks, general, settings) in CASES.items():
        torch.manual_seed(0)
        folder = OUT / name
        folder.mkdir(parents=True)
        state = {k: v.clone() for k, v in net().state_dict().items()}
        x = INPUTS[net]()
        adapters = [f"task_{i}" for i in range(tasks)] + [f"gks_{i}" for i in range(general)] + ["late"]
        for i, adapter in enumerate(adapters):
            write_adapter(net, state, folder / adapter, targets, 3 + i)
        model = create_arrow_model(
            fresh(net, state), [str(folder / a) for a in adapters if a.startswith("task_")], ArrowConfig(**settings),
            [str(folder / a) for a in adapters if a.startswith("gks_")])
        save_to(model, folder, selected_adapters=["arrow_router"])
        save_file(state, folder / "base.safetensors")
        save_file(run(model, x, folder / "late"), folder / "run.safetensors")
    (OUT / "cases.json").write_text(json.dumps(sorted(CASES), indent=1) + "\n")


if __name__ == "__main__":
    main()
