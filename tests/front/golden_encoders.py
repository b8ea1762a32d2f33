"""Writes tests/front/golden_encoders: LoRA adapters that Python PEFT put on encoders, on encoder-decoders and decoders
without a language head, and on vision transformers.

The bases are those of tests/models/contract: the weights of the file of that name. The folders are as
those of golden.py. Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run:
python tests/front/golden_encoders.py [case ...]
"""
import json
import pathlib
import shutil
import sys

import torch
from golden import randomise, run
from golden_tied import Logits
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig

HERE = pathlib.Path(__file__).parent
OUT = HERE / "golden_encoders"
sys.path.insert(0, str(HERE.parent / "models"))
from contract import model_of, scores  # noqa: E402

# A file of tests/models/contract: the adapter's options. Without target_modules PEFT chooses them by model_type.
# T5's are those whose three steps in float32 stay near those in float64.
CASES = {
    "bert_labels": dict(task_type="SEQ_CLS"),
    "bert_token_classification": dict(task_type="TOKEN_CLS", target_modules=["query", "key", "value", "dense"]),
    "roberta_question_answering": dict(task_type="QUESTION_ANS"),
    "xlm_roberta_classes": dict(task_type="SEQ_CLS", bias="lora_only"),
    "roberta_body": dict(task_type="FEATURE_EXTRACTION", target_modules=["word_embeddings", "output.dense"]),
    "distilbert_sequence_classification": dict(task_type="SEQ_CLS", target_modules=["q_lin", "v_lin"]),
    "distilbert_question_answering": dict(task_type="QUESTION_ANS", target_modules=["ffn.lin1", "lin2"]),
    "t5_encoder": dict(task_type="FEATURE_EXTRACTION"),
    "t5_sequences": dict(task_type="SEQ_CLS", modules_to_save=["classification_head"]),
    "t5_tokens": dict(task_type="TOKEN_CLS", target_modules=["q", "wi"]),
    "t5_answers": dict(task_type="QUESTION_ANS", target_modules=["v", "wo"]),
    "mt5_encoder": dict(task_type="FEATURE_EXTRACTION", target_modules=["v", "wo"]),
    "bart_body": dict(task_type="FEATURE_EXTRACTION", target_modules=["fc1", "encoder_attn.v_proj"]),
    "bart_sequences": dict(task_type="SEQ_CLS"),
    "bart_answers": dict(task_type="QUESTION_ANS"),
    "llama_body": dict(task_type="FEATURE_EXTRACTION", layer_replication=[[0, 2], [1, 2]]),
    "llama_tokens": dict(task_type="TOKEN_CLS", layer_replication=[[1, 2], [0, 2]], target_modules=["up_proj"]),
    "vit_classes": dict(target_modules=["q_proj", "v_proj", "projection"], modules_to_save=["classifier"]),
}


class Scores(Logits):
    """Tokens or pixels in, scores out."""

    def __init__(self, model, task):
        super().__init__(model)
        self.__dict__["task"] = task

    def __call__(self, x):
        inputs = dict(input_ids=x) if x.dtype == torch.int64 else dict(pixel_values=x)
        return scores(self.task, self.model(**inputs))


def base_of(name):
    with safe_open(HERE.parent / "models" / "contract" / f"{name}.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
        task = file.metadata()["task"]
        weights = {key[len("weight/"):]: file.get_tensor(key).float() for key in file.keys() if key.startswith("weight/")}
        x = file.get_tensor("ids" if "ids" in file.keys() else "pixel_values")
    model = model_of(task, AutoConfig.for_model(**config), config["architectures"][0])
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(key.endswith("embed_tokens.weight") for key in missing), (missing, unexpected)
    model.tie_weights()
    return model.eval(), task, x


def main():
    for name in sys.argv[1:] or CASES:
        options = CASES[name]
        base, task, x = base_of(name)
        model = get_peft_model(base, LoraConfig(r=2, lora_alpha=3, **options))
        torch.manual_seed(0)
        randomise(model)
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        tensors = run(Scores(model, task), x, merge="layer_replication" not in options)
        save_file(tensors, folder / "run.safetensors")
        print(name, sorted(model.peft_config["default"].target_modules), float(tensors["output"].abs().max()))


if __name__ == "__main__":
    main()
