"""Writes tests/front/golden_seq2seq: adapters of encoder-decoders that Python PEFT made, and what models do with them.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_seq2seq.py
`bases/<name>` are tiny models. Each case is a folder: `config.json`, the config before it was put on a model; the adapter
as save_pretrained leaves it; and run.safetensors with
  start.<name>            what is trained, randomised: what the rest was computed with
  input_ids, attention_mask, decoder_attention_mask, labels, task_ids
  logits (of the labels, shifted), loss, grad.<name> (of the loss), after.<name> (after three steps of AdamW)
  generated               six new tokens of each row; beams: those of three beams, the two best of each row
"""
import json
import pathlib
import shutil

import torch
import transformers
from peft import (CartridgeConfig, LoraConfig, MultitaskPromptTuningConfig, PeftModel, PrefixTuningConfig,
                  PromptEncoderConfig, PromptTuningConfig, get_peft_model)
from safetensors.torch import save_file
from transformers import AutoModelForSeq2SeqLM, BartConfig, MT5Config, T5Config

torch.cuda.is_current_stream_capturing = lambda: False
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

OUT = pathlib.Path(__file__).parent / "golden_seq2seq"
SEED = 7
VOCABULARY = 43
T5 = dict(vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=12, num_layers=2, num_heads=2, dropout_rate=0.0,
          relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0)
BASES = {
    "t5": T5Config(**T5),
    "mt5": MT5Config(**T5),
    "bart": BartConfig(vocab_size=VOCABULARY, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=12,
                       decoder_ffn_dim=12, encoder_attention_heads=2, decoder_attention_heads=2, dropout=0.0,
                       max_position_embeddings=32, scale_embedding=True, forced_eos_token_id=None),
}
# name: (base, class of the config, its arguments)
CASES = {
    "t5_lora": ("t5", LoraConfig, dict(r=2)),
    "mt5_lora": ("mt5", LoraConfig, dict(r=2)),
    "bart_lora": ("bart", LoraConfig, dict(r=2)),
    "t5_lora_saved": ("t5", LoraConfig, dict(r=2, target_modules=["wi", "wo"], modules_to_save=["lm_head"])),
    "t5_prompt_tuning": ("t5", PromptTuningConfig, dict(num_virtual_tokens=3)),
    "bart_prompt_tuning": ("bart", PromptTuningConfig, dict(num_virtual_tokens=2, num_transformer_submodules=1)),
    "t5_p_tuning": ("t5", PromptEncoderConfig, dict(num_virtual_tokens=3, encoder_hidden_size=6)),
    "bart_p_tuning": ("bart", PromptEncoderConfig, dict(num_virtual_tokens=2, encoder_reparameterization_type="LSTM",
                                                        encoder_hidden_size=5)),
    "t5_multitask": ("t5", MultitaskPromptTuningConfig, dict(num_virtual_tokens=3, num_tasks=3, num_ranks=2)),
    "bart_multitask": ("bart", MultitaskPromptTuningConfig, dict(num_virtual_tokens=2, num_tasks=3, num_ranks=2)),
    "t5_prefix_tuning": ("t5", PrefixTuningConfig, dict(num_virtual_tokens=3)),
    "bart_prefix_tuning": ("bart", PrefixTuningConfig, dict(num_virtual_tokens=2, prefix_projection=True,
                                                            encoder_hidden_size=6)),
    "t5_cartridge": ("t5", CartridgeConfig, dict(num_virtual_tokens=4)),
}
LEARNING_RATE = 0.05


def make_bases():
    for name, config in BASES.items():
        torch.manual_seed(3)
        model = AutoModelForSeq2SeqLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            parameter.data = 0.3 * torch.randn_like(parameter) + (parameter.dim() == 1)
        model.save_pretrained(OUT / "bases" / name)
        (OUT / "bases" / name / "generation_config.json").unlink(missing_ok=True)


def base(name):
    model = AutoModelForSeq2SeqLM.from_pretrained(OUT / "bases" / name, dtype=torch.float32)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=model.config.decoder_start_token_id, pad_token_id=0)
    return model.eval()


def batch(case):
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(3, VOCABULARY, (3, 6), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    labels = torch.randint(3, VOCABULARY, (3, 5), generator=generator)
    target = torch.ones_like(labels)
    labels[2, -2:] = -100
    target[2, -1:] = 0
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels, "decoder_attention_mask": target}
    if "multitask" in case:
        given["task_ids"] = torch.tensor([0, 2, 1])
    return given


def trained(model):
    return {name.removeprefix("base_model.model."): p for name, p in model.named_parameters() if p.requires_grad}


def generation(model, given):
    inputs = {k: given[k] for k in ("input_ids", "attention_mask", "task_ids") if k in given}

    def generate(**options):
        rows = model.generate(**{k: v.clone() for k, v in inputs.items()}, max_new_tokens=6, do_sample=False, **options)
        return rows[:, 1:].contiguous()

    found = {"generated": generate()}
    # With a task a row, Python gives beams the tasks of other rows.
    if "task_ids" not in inputs:
        found["beams"] = generate(num_beams=3, num_return_sequences=2)
    return found


def train(model, given):
    tensors = {}
    output = model(**given)
    tensors |= {"logits": output.logits, "loss": output.loss.reshape(1)}
    output.loss.backward()
    tensors |= {f"grad.{n}": p.grad.clone() for n, p in trained(model).items() if p.grad is not None}
    optimizer = torch.optim.AdamW(trained(model).values(), lr=LEARNING_RATE)
    for _ in range(3):
        optimizer.zero_grad()
        model(**given).loss.backward()
        optimizer.step()
    return tensors | {f"after.{n}": p for n, p in trained(model).items()}


def run(case, name, config_class, options):
    folder = OUT / case
    folder.mkdir(parents=True)
    config = config_class(task_type="SEQ_2_SEQ_LM", **options)
    written = {k: v for k, v in config.to_dict().items() if k not in ("peft_version", "auto_mapping")}
    written = {k: sorted(v) if isinstance(v, set) else v for k, v in written.items()}
    (folder / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    plain = base(name)
    torch.manual_seed(SEED)
    model = get_peft_model(plain, config).eval()
    for parameter in trained(model).values():
        parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    given = batch(case)
    tensors = {f"start.{n}": p.detach().clone() for n, p in trained(model).items()}
    tensors |= given
    with torch.no_grad():
        tensors |= generation(model, given)
    tensors |= train(model, {k: v.clone() for k, v in given.items()})
    with torch.no_grad():
        loaded = PeftModel.from_pretrained(base(name), folder)(**{k: v.clone() for k, v in given.items()}).logits
    assert torch.allclose(loaded, tensors["logits"], atol=1e-5), case
    (folder / "README.md").unlink()
    adapter = json.loads((folder / "adapter_config.json").read_text())
    adapter["base_model_name_or_path"] = None
    if isinstance(adapter.get("target_modules"), list):  # a set in Python, in any order
        adapter["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(adapter, indent=2, sort_keys=True))
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / "run.safetensors")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    make_bases()
    for case, (name, config_class, options) in CASES.items():
        run(case, name, config_class, options)
    (OUT / "cases.json").write_text(json.dumps({c: v[0] for c, v in CASES.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
