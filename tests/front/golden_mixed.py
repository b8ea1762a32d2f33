"""Writes tests/front/golden_mixed: what Python's PeftMixedModel does, step by step.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_mixed.py
base.safetensors is the model, one/, two/, three/ are adapters as save_pretrained leaves them. steps.json has
scenarios of steps, each with the adapters that are active afterwards, the parameters that learn and their
number; steps.safetensors has the output of each.
"""
import json
import pathlib
import shutil
import warnings

import torch
from peft import LoraConfig, PeftMixedModel, get_peft_model
from safetensors.torch import save_file
from torch import nn

OUT = pathlib.Path(__file__).parent / "golden_mixed"
ADAPTERS = {
    "one": dict(r=2, lora_alpha=3, target_modules=["emb", "lin1"]),
    "two": dict(r=3, lora_alpha=4, target_modules=["lin1", "lin2"]),
    "three": dict(r=2, target_modules=["lin2"], modules_to_save=["head"]),
}


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin1 = nn.Linear(8, 6)
        self.lin2 = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids):
        return self.head(torch.tanh(self.lin2(torch.tanh(self.lin1(self.emb(ids))))))


def net():
    torch.manual_seed(0)
    return Layers()


def save_adapters():
    for seed, (name, options) in enumerate(ADAPTERS.items()):
        model = get_peft_model(net(), LoraConfig(**options))
        torch.manual_seed(seed)
        for p in model.parameters():
            if p.requires_grad:
                p.data = torch.randn(p.shape) * 0.4
        model.save_pretrained(OUT / name)
        (OUT / name / "README.md").unlink()


def begun(name="one", adapter="one", **options):
    return PeftMixedModel.from_pretrained(net(), OUT / name, adapter, **options)


# A step: the method's name, then its arguments.
LOADED = [["load_adapter", "two", "two"], ["load_adapter", "three", "three"]]
SCENARIOS = {
    "several at once": LOADED + [
        ["set_adapter", ["one", "two"]], ["set_adapter", ["two", "one"]], ["set_adapter", ["one", "two", "three"]],
        ["set_adapter", ["three"]], ["set_adapter", ["two", "three"], True], ["set_adapter", ["one", "three"]],
        ["disable_adapter"]],
    "a new adapter": [["add_adapter", "fresh"], ["set_adapter", ["one", "fresh"]], ["set_adapter", ["fresh"]]],
    "loading lets the active ones learn": [
        ["set_adapter", ["one"], True], ["load_adapter", "two", "two", True], ["load_adapter", "three", "three"]],
    "merged": LOADED + [
        ["set_adapter", ["one", "two"]], ["merge_adapter"], ["unmerge_adapter"], ["merge_adapter"],
        ["set_adapter", ["three"]]],
    "deleted": LOADED + [
        ["set_adapter", ["two", "three"]], ["delete_adapter", ["two"]], ["delete_adapter", ["three"]],
        ["delete_adapter", ["one"]]],
    "several deleted": LOADED + [
        ["set_adapter", ["one", "two", "three"]], ["delete_adapter", ["one", "three"]], ["load_adapter", "one", "one"]],
    # On emb and lin1 an adapter of each layer's own follows.
    "each layer chooses": [
        ["add_adapter", "on_emb", ["emb"]], ["add_adapter", "on_lin1", ["lin1"]], ["set_adapter", ["one"]],
        ["delete_adapter", ["one"]]],
    "folded in": LOADED + [["set_adapter", ["one", "two"]], ["merge_and_unload"]],
    "folded in by name": LOADED + [["set_adapter", ["three"]], ["merge_and_unload", ["two"]]],
    "taken out": LOADED + [["set_adapter", ["one", "two"]], ["unload"]],
}


def take(model, step):
    """Takes a step and returns what computes afterwards."""
    name, *args = step
    if name == "load_adapter":
        model.load_adapter(OUT / args[0], args[1], is_trainable=len(args) > 2)
    elif name == "set_adapter":
        model.set_adapter(args[0], inference_mode=len(args) > 1)
    elif name == "add_adapter":
        torch.manual_seed(7)
        model.add_adapter(args[0], LoraConfig(r=2, target_modules=args[1] if len(args) > 1 else ["lin2"]))
    elif name in ("merge_and_unload", "unload"):
        return getattr(model, name)(**({"adapter_names": args[0]} if args else {}))
    elif name != "disable_adapter":
        getattr(model, name)(*args)
    return model


def run(scenario, steps, x, tensors):
    model = begun()
    done = []
    for step in [["from_pretrained"], *steps]:
        if step[0] != "from_pretrained":
            model = take(model, step)
        tensors[f"{scenario}.{len(done)}"] = model(x).detach().clone()
        entry = {"step": step}
        if step[0] == "disable_adapter":
            with model.disable_adapter():
                tensors[f"{scenario}.{len(done)}"] = model(x).detach().clone()
        if isinstance(model, PeftMixedModel):
            entry |= {"active": sorted(model.active_adapters),
                      "learning": sorted(n for n, p in model.named_parameters() if p.requires_grad),
                      "parameters": list(model.get_nb_trainable_parameters())}
        done.append(entry)
    return done


def types():
    """The types of adapters on a base of half precision."""
    built = get_peft_model(net().to(torch.bfloat16), LoraConfig(target_modules=["lin1"]), mixed=True)
    built.add_adapter("later", LoraConfig(target_modules=["lin1"]))
    loaded = PeftMixedModel.from_pretrained(net().to(torch.bfloat16), OUT / "one")
    return {"built": str(built.base_model.model.lin1.lora_A["default"].weight.dtype),
            "added": str(built.base_model.model.lin1.lora_A["later"].weight.dtype),
            "loaded": str(loaded.base_model.model.lin1.lora_A["default"].weight.dtype)}


def refused():
    """The names of errors, by what was called."""
    model = begun()
    calls = {
        "save_pretrained": lambda: model.save_pretrained(OUT),
        "create_or_update_model_card": lambda: model.create_or_update_model_card(OUT),
        "get_layer_status": model.get_layer_status,
        "get_model_status": model.get_model_status,
        "add_weighted_adapter": lambda: model.add_weighted_adapter(["one"], [1.0], "new"),
        "set_adapter": lambda: model.set_adapter(["one", "none"]),
        "delete_adapter": lambda: model.delete_adapter(["one", "none"]),
        "add_adapter": lambda: model.add_adapter("one", LoraConfig(target_modules=["lin1"])),
    }
    errors = {}
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            errors[name] = type(error).__name__
    return errors


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    save_file(net().state_dict(), OUT / "base.safetensors")
    save_adapters()
    torch.manual_seed(0)
    x = torch.randint(0, 11, (3, 5))
    tensors = {"input": x}
    scenarios = {name: run(name, steps, x, tensors) for name, steps in SCENARIOS.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / "steps.safetensors")
    facts = {"scenarios": scenarios, "types": types(), "refused": refused()}
    (OUT / "steps.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
