"""Writes tests/front/golden_cards: model cards before and after Python PEFT brought them up to date.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, huggingface_hub 1.33.0; seed 0.
Run: python tests/front/golden_cards.py
Of a new card only the metadata is kept: its text is the template of huggingface_hub.
"""
import pathlib
import shutil
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).parent / "golden_cards"

BEFORE = {
    "new": None,
    "text_only": "# Mine\n\nA text.\n",
    "empty_metadata": "---\n{}\n---\n# Mine\n",
    "other_entries": "---\nlicense: mit\nlanguage:\n- en\n- de\ndatasets: ['a/b', c]\npipeline_tag: text-classification\n---\n\n# Mine\n\nlast line",
    "headings": "---\ntags: null\nlicense: mit\n---\n# Mine\n\n### Framework versions\n\n- Transformers 5.0\n- PEFT 0.1.0\n\n## End\n",
    "windows": "---\r\nlicense: mit\r\n---\r\n# Mine\r\n\r\ntext\r\n",
    "done": "---\nlibrary_name: peft\nlicense: mit\n---\n# Mine\n- PEFT 0.21.2\nend\n",
}


def model(task_type, name):
    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2))
    base.name_or_path = base.config._name_or_path = name
    return get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type=task_type))


def write(name, before, task_type="CAUSAL_LM", base="org/base"):
    with tempfile.TemporaryDirectory() as folder:
        readme = pathlib.Path(folder) / "README.md"
        if before is not None:
            readme.write_bytes(before.encode())
        model(task_type, base).create_or_update_model_card(folder)
        after = readme.read_bytes().decode()
    if before is None:
        after = after[:after.index("\n---\n", 4) + 5]
    else:
        (OUT / f"{name}.before.md").write_bytes(before.encode())
    (OUT / f"{name}.after.md").write_bytes(after.encode())


shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
for name, before in BEFORE.items():
    write(name, before)
write("no_task", None, task_type=None)
write("odd_name", None, base="./it's: 1 #2")
write("number", None, base="1.5")
