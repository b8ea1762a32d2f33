"""Writes tests/front/golden_prompts: prompts of every method that Python PEFT made, and what models do with them.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_prompts.py
`bases/<name>` are tiny models. Each case is a folder: `config.json`, the config before it was put on a model; the adapter
as save_pretrained leaves it; and run.safetensors with
  init.<name>             parameters of the encoder as they begin after torch.manual_seed(SEED)
  encoder.<name>          the same, randomised: what the rest was computed with
  input_ids, attention_mask, labels, task_ids, input_type_mask
  logits (of the first 40 tokens), loss, grad.<name> (of the loss), after.<name> (after three steps of SGD)
  prompt                  get_prompt(2), or prompt.keys.<layer>, prompt.values.<layer>
  step<i>.in.<name>, step<i>.out.<name>   of prepare_inputs_for_generation in the first two steps of a generation
  generated               six new tokens of each row
The model that from_pretrained makes of the folder has the same logits.
"""
import json
import pathlib
import shutil

import torch
import transformers
from peft import (CartridgeConfig, CPTConfig, MultitaskPromptTuningConfig, PeftModel, PrefixTuningConfig,
                  PromptEncoderConfig, PromptTuningConfig, get_peft_model)
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (AutoModelForCausalLM, DynamicCache, GPT2Config, LlamaConfig, MistralConfig,
                          PreTrainedTokenizerFast, Qwen3Config)

torch.cuda.is_current_stream_capturing = lambda: False
transformers.utils.logging.disable_progress_bar()

OUT = pathlib.Path(__file__).parent / "golden_prompts"
SEED = 7
VOCABULARY = 300
SHOWN = 40  # entries of the vocabulary whose logits are kept
SMALL = dict(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2, bos_token_id=1, eos_token_id=2,
             pad_token_id=0, tie_word_embeddings=False)
BASES = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**{**SMALL, "head_dim": 8, "tie_word_embeddings": True}),
    "mistral": MistralConfig(**{**SMALL, "sliding_window": 4}),
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=24, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2,
                       bos_token_id=1, eos_token_id=2, pad_token_id=0),
}
TASK = dict(task_type="CAUSAL_LM")
TEXT = dict(prompt_tuning_init="TEXT", prompt_tuning_init_text="say whether the text is kind", tokenizer_name_or_path="{base}")
CPT = dict(cpt_token_ids=[5, 9, 20, 33, 6, 41, 2, 8], cpt_mask=[1] * 8, cpt_tokens_type_mask=[1, 2, 3, 4, 5, 6, 7, 8])

# name: (base, class of the config, its arguments)
CASES = {
    "prompt_tuning": ("llama", PromptTuningConfig, dict(num_virtual_tokens=3)),
    "prompt_tuning_tied": ("qwen3", PromptTuningConfig, dict(num_virtual_tokens=4)),
    "prompt_tuning_vocab": ("llama", PromptTuningConfig, dict(num_virtual_tokens=5, prompt_tuning_init="SAMPLE_VOCAB")),
    "prompt_tuning_text": ("llama", PromptTuningConfig, dict(num_virtual_tokens=4, **TEXT)),
    "prompt_tuning_long": ("llama", PromptTuningConfig, dict(num_virtual_tokens=20, **TEXT)),
    "prompt_tuning_saved": ("llama", PromptTuningConfig, dict(num_virtual_tokens=2, modules_to_save=["lm_head"])),
    "prefix_tuning": ("llama", PrefixTuningConfig, dict(num_virtual_tokens=3)),
    "prefix_tuning_wide_heads": ("qwen3", PrefixTuningConfig, dict(num_virtual_tokens=4)),
    "prefix_tuning_window": ("mistral", PrefixTuningConfig, dict(num_virtual_tokens=3)),
    "prefix_tuning_zero": ("llama", PrefixTuningConfig, dict(num_virtual_tokens=3, init_weights="zero")),
    "prefix_tuning_projection": ("llama", PrefixTuningConfig, dict(num_virtual_tokens=3, prefix_projection=True,
                                                                   encoder_hidden_size=10)),
    "prefix_tuning_projection_zero": ("qwen3", PrefixTuningConfig, dict(num_virtual_tokens=2, prefix_projection=True,
                                                                         init_weights="zero")),
    "p_tuning_mlp": ("llama", PromptEncoderConfig, dict(num_virtual_tokens=3)),
    "p_tuning_lstm": ("llama", PromptEncoderConfig, dict(num_virtual_tokens=4, encoder_reparameterization_type="LSTM",
                                                         encoder_hidden_size=7, encoder_num_layers=2)),
    "multitask": ("llama", MultitaskPromptTuningConfig, dict(num_virtual_tokens=3, num_tasks=3, num_ranks=2)),
    "multitask_text": ("llama", MultitaskPromptTuningConfig, dict(num_virtual_tokens=3, num_tasks=2, **TEXT)),
    "multitask_average": ("llama", MultitaskPromptTuningConfig, dict(
        num_virtual_tokens=3, num_ranks=2, prompt_tuning_init="AVERAGE_SOURCE_TASKS", prompt_tuning_init_state_dict_path="{source}")),
    "multitask_exact": ("llama", MultitaskPromptTuningConfig, dict(
        num_virtual_tokens=3, num_ranks=2, prompt_tuning_init="EXACT_SOURCE_TASK", prompt_tuning_init_task=2,
        prompt_tuning_init_state_dict_path="{source}")),
    "multitask_shared": ("llama", MultitaskPromptTuningConfig, dict(
        num_virtual_tokens=3, num_tasks=2, prompt_tuning_init="ONLY_SOURCE_SHARED", prompt_tuning_init_state_dict_path="{source}")),
    "cpt": ("llama", CPTConfig, CPT),
    "cpt_decay": ("llama", CPTConfig, dict(**CPT, opt_weighted_loss_type="decay", opt_loss_decay_factor=0.7,
                                           opt_projection_epsilon=2.0, opt_projection_format_epsilon=1.5)),
    "cpt_defaults": ("llama", CPTConfig, {}),
    "cartridge": ("llama", CartridgeConfig, dict(num_virtual_tokens=4)),
    "cartridge_free": ("qwen3", CartridgeConfig, dict(num_virtual_tokens=3, num_frozen_tokens=0)),
}
LEARNING_RATE = 0.05


def make_tokenizer(folder):
    """Byte-level BPE of a few merges, so that its ids fit the tiny vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<pad>", "<s>", "</s>"])
    tokenizer.train_from_iterator(["say whether the text is kind or not, say it in a word"] * 4, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>",
                            pad_token="<pad>").save_pretrained(folder)


def make_base(name, config):
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        if parameter.dim() == 1:  # norms begin as ones, which would hide mistakes
            parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(OUT / "bases" / name)
    (OUT / "bases" / name / "generation_config.json").unlink(missing_ok=True)


def make_bases():
    for name, config in BASES.items():
        make_base(name, config)
    make_tokenizer(OUT / "bases" / "llama")


def base(name):
    model = AutoModelForCausalLM.from_pretrained(OUT / "bases" / name, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


def batch(case):
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(3, VOCABULARY, (3, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    mask[2, :1] = 0
    ids[mask == 0] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[0, 2] = -100
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if case.startswith("multitask"):
        given["task_ids"] = torch.tensor([0, 1, 0]) if case in ("multitask_text", "multitask_shared") else torch.tensor([0, 2, 1])
        if case in ("multitask_average", "multitask_exact"):
            given["task_ids"] = torch.tensor([0, 0, 0])
    if case == "cpt_decay":
        given["input_type_mask"] = torch.tensor([[1, 2, 3, 4, 4, 0, 4]] * 3)
    return given


def cache_tensors(cache, prefix):
    found = {}
    for index, layer in enumerate(cache.layers):
        found[f"{prefix}keys.{index}"] = layer.keys.detach()
        found[f"{prefix}values.{index}"] = layer.values.detach()
    return found


def generation(model, given):
    """The inputs of the first two steps, and the tokens."""
    tensors = {}
    prepare = model.prepare_inputs_for_generation
    steps = []

    def recorded(input_ids, **kwargs):
        step = f"step{len(steps)}."
        if len(steps) < 2:
            length = kwargs.get("next_sequence_length")
            tensors[step + "in.input_ids"] = input_ids if length is None else input_ids[:, -length:]
            for name in ("attention_mask", "position_ids"):
                if kwargs.get(name) is not None:
                    tensors[step + "in." + name] = kwargs[name]
            cache = kwargs.get("past_key_values")
            tensors[step + "in.cache_length"] = torch.tensor([cache.get_seq_length() if cache is not None else 0])
        prepared = prepare(input_ids, **kwargs)
        if len(steps) < 2:
            for name in ("input_ids", "inputs_embeds", "attention_mask", "position_ids"):
                if prepared.get(name) is not None:
                    tensors[step + "out." + name] = prepared[name].detach()
            tensors[step + "out.cache_length"] = torch.tensor([prepared["past_key_values"].get_seq_length()])
        steps.append(step)
        return prepared

    model.prepare_inputs_for_generation = recorded
    if "task_ids" in given:  # which generate refuses
        tokens = greedy(model, given)
    else:
        tokens = model.generate(input_ids=given["input_ids"], attention_mask=given["attention_mask"],
                                max_new_tokens=6, do_sample=False)
    model.prepare_inputs_for_generation = prepare
    return tensors | {"generated": tokens[:, given["input_ids"].shape[1]:]}


def greedy(model, given):
    """What generate does, with the tasks of the rows."""
    ids, mask, cache = given["input_ids"], given["attention_mask"], DynamicCache()
    for step in range(6):
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        prepared = model.prepare_inputs_for_generation(
            ids, past_key_values=cache, attention_mask=mask, position_ids=positions, task_ids=given["task_ids"],
            next_sequence_length=1 if step else None)
        chosen = model.base_model(**prepared, use_cache=True).logits[:, -1:].argmax(-1)
        ids, mask = torch.cat([ids, chosen], 1), torch.cat([mask, torch.ones_like(chosen)], 1)
    return ids


def train(model, encoder, given):
    out = model(**given)
    tensors = {"logits": out.logits[..., :SHOWN], "loss": out.loss.reshape(1)}
    out.loss.backward()
    tensors |= {f"grad.{n}": p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
    for name, parameter in model.base_model.named_parameters():
        assert parameter.grad is None or "modules_to_save" in name, name
    sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    for _ in range(3):
        sgd.zero_grad()
        model(**given).loss.backward()
        sgd.step()
    return tensors | {f"after.{n}": p for n, p in encoder.named_parameters()}


def without_labels(given):
    return {k: v.clone() for k, v in given.items() if k != "labels"}


def run(case, name, config_class, options):
    folder = OUT / case
    folder.mkdir(parents=True)
    places = {"{base}": str(OUT / "bases" / name), "{source}": str(OUT / "multitask" / "adapter_model.safetensors")}
    config = config_class(**TASK, **{k: places.get(v, v) if isinstance(v, str) else v for k, v in options.items()})
    written = config.to_dict()
    for key, value in options.items():
        if isinstance(value, str) and value in places:
            written[key] = value
    (folder / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True, default=list) + "\n")
    plain = base(name)  # which draws numbers, too
    torch.manual_seed(SEED)
    model = get_peft_model(plain, config)
    encoder = model.prompt_encoder["default"]
    tensors = {f"init.{n}": p.detach().clone() for n, p in encoder.named_parameters()}
    torch.manual_seed(SEED + 1)
    for parameter in encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    for parameter_name, parameter in model.base_model.named_parameters():
        if "modules_to_save" in parameter_name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    encoder.eval()
    model.save_pretrained(folder)  # before all else: CPT shortens its changes in every forward
    tensors |= {f"encoder.{n}": p.detach().clone() for n, p in encoder.named_parameters()}
    given = batch(case)
    tensors |= given
    with torch.no_grad():
        prompt = model.get_prompt(2, **({"task_ids": given["task_ids"][:2]} if "task_ids" in given else {}))
        tensors |= {"prompt": prompt} if isinstance(prompt, torch.Tensor) else cache_tensors(prompt, "prompt.")
        tensors |= generation(model, given)
    tensors |= train(model, encoder, {k: v.clone() for k, v in given.items()})
    with torch.no_grad():
        loaded = PeftModel.from_pretrained(base(name), folder)(**without_labels(given)).logits[..., :SHOWN]
    assert torch.allclose(loaded, tensors["logits"], atol=1e-5), case
    (folder / "README.md").unlink()
    adapter = json.loads((folder / "adapter_config.json").read_text())
    for key in ("tokenizer_name_or_path", "prompt_tuning_init_state_dict_path"):
        if adapter.get(key):
            adapter[key] = options[key]
    adapter["base_model_name_or_path"] = None
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
