"""Writes tests/tools/golden/python_names.json: the public names of Python PEFT that docs/parity.tsv marks.

Made from the source of peft 0.21.2, which is read and not run. Run: python tests/tools/parity_names.py
"""
import ast
import importlib.util
import json
import pathlib

OUT = pathlib.Path(__file__).parent / "golden" / "python_names.json"
PEFT = pathlib.Path(importlib.util.find_spec("peft").origin).parent
# Private names whose behaviour is promised all the same.
PROMISED = {"_check_new_adapter_config", "_enable_peft_forward_hooks", "_split_kwargs",
            "_update_offload"}
# Set in PeftModel's constructor, or inherited from PushToHubMixin.
ATTRIBUTES = {"active_adapter", "base_model", "peft_type", "push_to_hub", "special_peft_forward_args"}


def body(file, name):
    for node in ast.parse((PEFT / file).read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node.body
    raise LookupError(f"{file}: no class {name}")


def public_names(file, kind):
    names = set()
    for node in body(file, kind):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def exported():
    for node in ast.parse((PEFT / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise LookupError("peft/__init__.py: no __all__")


of_model = public_names("peft_model.py", "PeftModel") | ATTRIBUTES
of_lora = public_names("tuners/lora/model.py", "LoraModel") | public_names("tuners/tuners_utils.py", "BaseTuner")
OUT.parent.mkdir(exist_ok=True)
OUT.write_text(json.dumps({"peft": sorted(exported()), "PeftModel": sorted(of_model | PROMISED),
                           "LoraModel": sorted(of_lora - of_model)}, indent=1) + "\n")
