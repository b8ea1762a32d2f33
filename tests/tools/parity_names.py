"""Writes tests/tools/golden/python_names.json: the public names of Python PEFT that docs/parity.tsv marks.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0. Run: python tests/tools/parity_names.py
"""
import json
import pathlib

import peft
import torch
from peft import LoraConfig, LoraModel, PeftModel, get_peft_model

OUT = pathlib.Path(__file__).parent / "golden" / "python_names.json"
# Private names whose behaviour is promised all the same.
PROMISED = ["_check_new_adapter_config", "_enable_peft_forward_hooks", "_split_kwargs",
            "_update_offload"]


def own_names(kind):
    module = set(dir(torch.nn.Module))
    return {name for name in dir(kind)
            if not name.startswith("_") and (name not in module or name in vars(kind))}


model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(2, 2)), LoraConfig(target_modules=["0"]))
attributes = {name for name in list(vars(model)) + list(model._modules)
              if not name.startswith("_") and name != "training"}
of_model = own_names(PeftModel) | attributes
OUT.parent.mkdir(exist_ok=True)
OUT.write_text(json.dumps({
    "peft": sorted(peft.__all__),
    "PeftModel": sorted(of_model | set(PROMISED)),
    "LoraModel": sorted(own_names(LoraModel) - of_model),  # reached through PeftModel
}, indent=1) + "\n")
