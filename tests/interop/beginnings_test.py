"""Adapters that begin with a part of the base weights: trained and converted here, loaded in Python PEFT."""

import json

import support
from peft import LoraConfig, PeftModel, get_peft_model
from support import expect_same_scores, llama, peft, qwen2, run_cases, saved, token_rows, write_rows


def trained_here(word, make_base=llama, **flags):
    folder = saved(make_base(), "base")
    out = support.WORK / "trained"
    peft("train", model_name_or_path=folder, output_dir=out, dtype="float32", init_lora_weights=word,
         dataset_name=write_rows(token_rows(12, labels=True), "train.jsonl"), max_steps=3, lora_r=4, lora_alpha=8,
         learning_rate=0.01, save_strategy="no", per_device_train_batch_size=4, lora_dropout=0, **flags)
    config = json.loads((out / "initial" / "adapter_config.json").read_text())
    assert config["init_lora_weights"] is True, config["init_lora_weights"]
    return folder, out


def converted_here(out):
    new = support.WORK / "plain"
    peft("convert", adapter=out, path_initial_model_for_weight_conversion=out / "initial", output_dir=new)
    return new


def loaded(word, make_base=llama, convert=True, **flags):
    """Python takes the base apart as this program does, so that the file means the same model."""
    folder, out = trained_here(word, make_base, **flags)
    model = PeftModel.from_pretrained(make_base(), out).eval()
    expect_same_scores(model, token_rows(4), word, model_name_or_path=folder, adapter=out)
    if convert:
        new = converted_here(out)
        expect_same_scores(model, token_rows(4), f"{word}, converted here", model_name_or_path=folder, adapter=new)
        plain = PeftModel.from_pretrained(make_base(), new).eval()
        expect_same_scores(plain, token_rows(4), f"{word}, converted, in Python", model_name_or_path=folder,
                           adapter=new)


def converted(word, make_base=llama, **flags):
    """Beginnings whose base Python cannot make again from the file: the plain adapter means the same."""
    folder, out = trained_here(word, make_base, **flags)
    new = converted_here(out)
    model = PeftModel.from_pretrained(make_base(), new).eval()
    expect_same_scores(model, token_rows(4), word, model_name_or_path=folder, adapter=new)


def written_by_python(word, **options):
    base = llama()
    folder = saved(base, "base")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, init_lora_weights=word, **options)).eval()
    support.randomise(p for p in model.parameters() if p.requires_grad)
    model.save_pretrained(support.WORK / "adapter")
    expect_same_scores(model, token_rows(4), word, model_name_or_path=folder, adapter=support.WORK / "adapter")


run_cases({
    "pissa": lambda: loaded("pissa"),
    "pissa, tied model, all-linear": lambda: loaded("pissa", qwen2, lora_target_modules="all-linear"),
    "olora": lambda: loaded("olora"),
    "orthogonal": lambda: loaded("orthogonal", convert=False),
    "mica": lambda: loaded("mica", convert=False),
    "eva": lambda: loaded("eva", convert=False, lora_target_modules="all-linear"),
    "eva, its settings": lambda: loaded("eva", convert=False, lora_target_modules="all-linear", eva_rho=1.0,
                                        eva_tau=0.9),
    "corda": lambda: converted("corda"),
    "corda, its settings": lambda: converted("corda", corda_method="kpm"),
    "lora_ga": lambda: converted("lora_ga"),
    "lora_ga, its settings": lambda: converted("lora_ga", lora_ga_direction="ArBr", lora_ga_scale="unit"),
    "python: pissa": lambda: written_by_python("pissa"),
    "python: olora": lambda: written_by_python("olora"),
    "python: mica": lambda: written_by_python("mica"),
    "python: orthogonal": lambda: written_by_python("orthogonal"),
})
