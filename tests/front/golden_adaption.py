"""Writes tests/front/golden_prompts/adaption_*: adaption prompts that Python PEFT made, on the bases of golden_prompts.py.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_adaption.py [case ...]
Each folder is an adapter as save_pretrained leaves it; run.safetensors has init.<key> (as it begins after
torch.manual_seed(7)), input_ids, attention_mask, labels, logits of the first 40 tokens, loss, grad.<key>, after.<key>
(after three steps of SGD) and generated, under the keys of the file.
"""
import json
import shutil
import sys

import torch
from golden_prompts import LEARNING_RATE, OUT, SEED, SHOWN, base, batch
from peft import AdaptionPromptConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

CASES = {
    "adaption_llama": ("llama", dict(adapter_len=3, adapter_layers=2)),
    "adaption_top": ("llama", dict(adapter_len=2, adapter_layers=1)),
    "adaption_mistral": ("mistral", dict(adapter_len=4, adapter_layers=2)),
    "adaption_gpt2": ("gpt2", dict(adapter_len=3, adapter_layers=2)),
}


def state(model):
    return {k: v.detach().clone() for k, v in get_peft_model_state_dict(model).items()}


def by_key(model, values):
    """The values of parameters under the keys of the file."""
    return {k: values[n] for n in values for k in state(model) if n.replace("base_model.model.", "", 1) in k}


def run(case, name, options):
    folder = OUT / case
    shutil.rmtree(folder, ignore_errors=True)
    plain = base(name)  # which draws numbers, too
    torch.manual_seed(SEED)
    model = get_peft_model(plain, AdaptionPromptConfig(task_type="CAUSAL_LM", **options)).eval()
    tensors = {f"init.{k}": v for k, v in state(model).items()}
    torch.manual_seed(SEED + 1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.5 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    given = batch(case)
    tensors |= given
    with torch.no_grad():
        tokens = model.generate(input_ids=given["input_ids"], attention_mask=given["attention_mask"], max_new_tokens=6,
                                do_sample=False)
    tensors["generated"] = tokens[:, given["input_ids"].shape[1]:]
    out = model(**given)
    tensors |= {"logits": out.logits[..., :SHOWN], "loss": out.loss.reshape(1)}
    out.loss.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    assert len(grads) == len(state(model)), list(grads)
    tensors |= {f"grad.{k}": v for k, v in by_key(model, grads).items()}
    sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    for _ in range(3):
        sgd.zero_grad()
        model(**given).loss.backward()
        sgd.step()
    tensors |= {f"after.{k}": v for k, v in state(model).items()}
    (folder / "README.md").unlink()
    adapter = json.loads((folder / "adapter_config.json").read_text())
    adapter["base_model_name_or_path"] = None
    (folder / "adapter_config.json").write_text(json.dumps(adapter, indent=2, sort_keys=True))
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / "run.safetensors")


def main():
    for case in sys.argv[1:] or CASES:
        run(case, *CASES[case])


if __name__ == "__main__":
    main()
