"""Writes tests/methods/lora/golden/default_config.json: LoraConfig().to_dict() of peft 0.21.2."""
import json
import pathlib

from peft import LoraConfig

path = pathlib.Path(__file__).parent / "golden" / "default_config.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(LoraConfig().to_dict(), indent=2, sort_keys=True))
