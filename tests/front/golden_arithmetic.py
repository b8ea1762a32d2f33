"""Writes tests/front/golden_arithmetic: what Python PEFT makes of several adapters on one model.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0.
Run: python tests/front/golden_arithmetic.py
`base.safetensors` is the net, each folder an adapter on it; run.safetensors holds `input` and outputs of
the net: `combine.<type>`, `mixed`, `rescaled`, `hotswap.<case>`, `intruder`, `convert.<rank>`, and the
results `task.<function>` of three tensors `task.0` to `task.2`. status.json holds the status of layers
and model in several states, convert.json the configs of the conversions.
"""
import dataclasses
import json
import pathlib
import shutil
import tempfile

import torch
from peft import LoraConfig, PeftModel, convert_to_lora, get_peft_model
from peft.helpers import rescale_adapter_scale
from peft.tuners.lora.intruders import reduce_intruder_dimension
from peft.utils import merge_utils
from peft.utils.hotswap import hotswap_adapter, prepare_model_for_compiled_hotswap
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

OUT = pathlib.Path(__file__).parent / "golden_arithmetic"


class Parts(nn.Module):
    """One layer of each kind that takes mixed batches."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin = nn.Linear(8, 8)
        self.turned = Conv1D(8, 8)
        self.conv = nn.Conv2d(8, 6, (3, 1), padding=(1, 0))
        self.classifier = nn.Linear(6, 3)

    def forward(self, ids):
        h = self.turned(torch.relu(self.lin(self.emb(ids))))
        c = self.conv(h.transpose(1, 2).unsqueeze(-1))
        return self.classifier(torch.tanh(c).mean((2, 3)))


ADAPTERS = {
    "a": dict(r=3, lora_alpha=5, target_modules=["emb", "lin", "turned", "conv"]),
    "b": dict(r=3, lora_alpha=2, target_modules=["lin", "turned", "conv"]),
    "c": dict(r=2, lora_alpha=3, target_modules=["lin", "emb"]),
    "d": dict(r=2, target_modules=["lin"], modules_to_save=["classifier"]),
    # For swapping: the same settings with other ranks.
    "small": dict(r=2, lora_alpha=4, target_modules=["lin", "conv"]),
    "large": dict(r=4, lora_alpha=3, target_modules=["lin", "conv"]),
    "other_lin": dict(r=4, lora_alpha=3, target_modules=["lin"]),
}
COMBINATIONS = {
    "linear": dict(),
    "svd": dict(),
    "cat": dict(),
    "ties": dict(density=0.6),
    "ties_svd": dict(density=0.6, majority_sign_method="frequency"),
    "magnitude_prune": dict(density=0.4),
    "magnitude_prune_svd": dict(density=0.4, svd_rank=5),
    # Without dropping: what is random is compared with the functions alone.
    "dare_linear": dict(density=1.0),
    "dare_ties": dict(density=1.0),
    "dare_linear_svd": dict(density=1.0, svd_clamp=0.9),
    "dare_ties_svd": dict(density=1.0),
}
MIXED = ["a", "__base__", "b", "d", "a", "c"]


def randomise(model):
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = torch.randn(p.shape) * 0.4


def base_net(state=None):
    torch.manual_seed(0)
    net = Parts()
    if state is not None:
        net.load_state_dict(state)
    return net


def load(state, *names):
    model = PeftModel.from_pretrained(base_net(state), OUT / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(OUT / name, name)
    return model.eval()


def status(model):
    return {
        "layer_status": [dataclasses.asdict(s) for s in model.get_layer_status()],
        "model_status": dataclasses.asdict(model.get_model_status()),
    }


def statuses(state):
    found = {}
    model = get_peft_model(base_net(state), LoraConfig(r=2, target_modules=["emb", "lin", "conv"]))
    found["fresh"] = status(model)
    model.add_adapter("other", LoraConfig(r=2, target_modules=["lin", "turned"], modules_to_save=["classifier"]))
    found["two"] = status(model)
    model.base_model.set_adapter(["default", "other"])
    found["both_active"] = status(model)
    model.merge_adapter(["default"])
    found["merged"] = status(model)
    model.unmerge_adapter()
    with model.disable_adapter():
        found["disabled"] = status(model)
    model.base_model.model.lin.enable_adapters(False)
    found["irregular"] = status(model)
    return found


def task_functions():
    torch.manual_seed(1)
    tensors = [torch.randn(4, 5) for _ in range(3)]
    weights = torch.tensor([0.5, -1.25, 2.0])
    found = {f"task.{i}": t for i, t in enumerate(tensors)} | {"task.weights": weights}
    for name, arguments in {
        "task_arithmetic": (), "magnitude_prune": (0.35,), "ties": (0.5,), "ties.frequency": (0.5, "frequency"),
        "dare_linear": (0.6,), "dare_ties": (0.6,), "dare_ties.frequency": (0.6, "frequency"),
    }.items():
        torch.manual_seed(2)
        found[f"task.{name}"] = getattr(merge_utils, name.split(".")[0])(tensors, weights, *arguments)
    return found


def hotswaps(state, x):
    found = {}
    for case, first, second, rank in [("smaller", "large", "small", None), ("larger", "small", "large", None),
                                      ("missing", "large", "other_lin", None), ("prepared", "small", "large", 6)]:
        model = load(state, first)
        if rank:
            prepare_model_for_compiled_hotswap(model, target_rank=rank)
            found[f"hotswap.{case}.before"] = model(x).detach()
        hotswap_adapter(model, str(OUT / second), adapter_name=first, torch_device="cpu")
        found[f"hotswap.{case}"] = model(x).detach()
    return found


def conversions(state, x):
    found, configs = {}, {}
    for rank in (2, 0.9):
        model = load(state, "d")
        config, tensors = convert_to_lora(model, rank, adapter_name="d")
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
            configs[str(rank)] = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
            save_file({k: v.contiguous() for k, v in tensors.items() if "lora_" in k},
                      pathlib.Path(folder) / "adapter_model.safetensors")
            converted = LoraConfig(**{k: v for k, v in configs[str(rank)].items()
                                      if k in ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules")})
            plain = get_peft_model(base_net(state), converted)
            plain.load_adapter(folder, "default")
            found[f"convert.{rank}"] = plain.eval()(x).detach()
    return found, configs


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    state = {k: v.clone() for k, v in base_net().state_dict().items()}
    for seed, (name, options) in enumerate(ADAPTERS.items()):
        model = get_peft_model(base_net(state), LoraConfig(**options))
        torch.manual_seed(10 + seed)
        randomise(model)
        model.save_pretrained(OUT / name)
        (OUT / name / "README.md").unlink()
    torch.manual_seed(4)
    x = torch.randint(0, 11, (len(MIXED), 5))
    tensors = {"input": x} | task_functions()
    for kind, options in COMBINATIONS.items():
        model = load(state, "a", "b", "c")
        others = ["a", "c"] if kind in ("svd", "cat") else ["a", "b"]
        model.add_weighted_adapter(others, [0.7, -0.4], "combined", combination_type=kind, **options)
        model.set_adapter("combined")
        tensors[f"combine.{kind}"] = model(x).detach()
    model = load(state, "a", "b", "c", "d")
    tensors["mixed"] = mixed(model, x)
    model = load(state, "a")
    with rescale_adapter_scale(model, 0.5):
        tensors["rescaled"] = model(x).detach()
    tensors |= hotswaps(state, x)
    model = load(state, "d")
    reduce_intruder_dimension(model, "d", "reduced", top_k=4, threshold_epsilon=0.9, logging_sink=None)
    tensors["intruder"] = model(x).detach()
    found, configs = conversions(state, x)
    save_file(state, OUT / "base.safetensors")
    save_file({k: v.contiguous() for k, v in (tensors | found).items()}, OUT / "run.safetensors")
    (OUT / "status.json").write_text(json.dumps(statuses(state), indent=1) + "\n")
    (OUT / "convert.json").write_text(json.dumps(configs, indent=1) + "\n")


def mixed(model, x):
    """Rows one by one, each with its adapter alone: what a mixed batch has to equal."""
    rows = []
    for row, name in zip(x, MIXED):
        if name == "__base__":
            with model.disable_adapter():
                rows.append(model(row[None]).detach())
        else:
            model.set_adapter(name)
            rows.append(model(row[None]).detach())
    return torch.cat(rows)


if __name__ == "__main__":
    main()
