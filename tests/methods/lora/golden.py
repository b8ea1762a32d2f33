"""Writes what peft 0.21.2 says about LoRA into tests/methods/lora/golden.

default_config.json is LoraConfig().to_dict(); default_targets.json is the target_modules that a config
without any gets, by model_type.
"""
import json
import pathlib

from peft import LoraConfig
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

folder = pathlib.Path(__file__).parent / "golden"
folder.mkdir(exist_ok=True)
for name, value in {"default_config": LoraConfig().to_dict(),
                    "default_targets": TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING}.items():
    (folder / f"{name}.json").write_text(json.dumps(value, indent=2, sort_keys=True))
