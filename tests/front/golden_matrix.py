"""Writes tests/front/golden_matrix: every method on the tiny model of every family and task, run by Python PEFT.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors. Run: python tests/front/golden_matrix.py [method ...]
<method>.safetensors has, for each file <case> of tests/models/contract that reads text,
  <case>/start.<name>   what learns, and the rest of a prompt's encoder, as bfloat16 numbers
  <case>/<word>         answers that the file of the model lacks: labels, start_positions, end_positions
  <case>/scores, loss   in training mode, of the ids under right_mask; a body's loss is the mean of its squared states.
                        Multitask prompts are asked for the tasks 2 and 0
  <case>/grad.<name>    of the loss
  <case>/after.<name>   after three steps of AdamW
  <case>/saved.<key>    the tensors of adapter_model.safetensors, before those steps
Its metadata `cases` is JSON, {case: facts}: task_type; config, as it was given; completed, the fields of it that
get_peft_model filled in; or in place of these, refused: what Python says.
"""
import json
import pathlib
import sys
import warnings
import zlib

import torch
import transformers
from peft import (AdaptionPromptConfig, CartridgeConfig, CPTConfig, LoraConfig, MultitaskPromptTuningConfig,
                  PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model,
                  get_peft_model_state_dict)
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "models"
sys.path.insert(0, str(MODELS))
from contract import model_of  # noqa: E402

torch.set_num_threads(1)
transformers.utils.logging.set_verbosity_error()
warnings.simplefilter("ignore")

OUT = HERE / "golden_matrix"
SEED = 20260301
TASKS = dict(body="FEATURE_EXTRACTION", causal_lm="CAUSAL_LM", seq2seq_lm="SEQ_2_SEQ_LM",
             sequence_classification="SEQ_CLS", token_classification="TOKEN_CLS", question_answering="QUESTION_ANS")
METHODS = dict(
    lora=(LoraConfig, dict(r=2, lora_alpha=3)),
    prompt_tuning=(PromptTuningConfig, dict(num_virtual_tokens=3)),
    p_tuning=(PromptEncoderConfig, dict(num_virtual_tokens=2, encoder_hidden_size=5)),
    prefix_tuning=(PrefixTuningConfig, dict(num_virtual_tokens=3)),
    multitask_prompt_tuning=(MultitaskPromptTuningConfig, dict(num_virtual_tokens=2, num_tasks=3, num_ranks=2)),
    cpt=(CPTConfig, dict(cpt_token_ids=[5, 9, 20, 7], cpt_mask=[1] * 4, cpt_tokens_type_mask=[1, 2, 3, 4],
                         opt_weighted_loss_type="decay", opt_loss_decay_factor=0.7)),
    cartridge=(CartridgeConfig, dict(num_virtual_tokens=3)),
    adaption_prompt=(AdaptionPromptConfig, dict(adapter_len=2, adapter_layers=1)),
)
CACHES = ("prefix_tuning", "cartridge")
COMPLETED = ("num_layers", "token_dim", "num_attention_heads", "num_transformer_submodules", "encoder_hidden_size",
             "target_modules", "modules_to_save")
RATE, EPSILON = 0.01, 1e-3  # a gradient that is zero but for rounding moves nothing


class Case:
    """A model of tests/models/contract, as Python builds it."""

    def __init__(self, path):
        self.name = path.stem
        with safe_open(path, "pt") as file:
            self.config = json.loads(file.metadata()["config"])
            self.task = file.metadata()["task"]
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}

    def model(self):
        config = AutoConfig.for_model(**self.config)
        architecture = config.architectures[0]  # a part of a model is named alone
        model = model_of(self.task, config, architecture if architecture.endswith("EncoderModel") else None)
        weights = {key.removeprefix("weight/"): value.float() if value.is_floating_point() else value
                   for key, value in self.tensors.items() if key.startswith("weight/")}
        assert not model.load_state_dict(weights, strict=False).unexpected_keys, self.name
        model.tie_weights()
        return model

    def inputs(self):
        given = dict(input_ids=self.tensors["ids"], attention_mask=self.tensors["right_mask"])
        if "token_type_ids" in self.tensors:
            given["token_type_ids"] = self.tensors["token_type_ids"]
        if self.task == "seq2seq_lm":
            given["decoder_attention_mask"] = self.tensors["decoder_mask"]
        return given

    def answers(self):
        """Labels, of which those that the tensors of the file give are not written again."""
        rows, tokens = self.tensors["ids"].shape
        classes = len(self.config.get("id2label", ())) or 2
        if self.task == "causal_lm":
            return dict(labels=self.tensors["ids"].masked_fill(self.tensors["right_mask"] == 0, -100))
        if self.task == "seq2seq_lm":
            return dict(labels=self.tensors["decoder_ids"].masked_fill(self.tensors["decoder_mask"] == 0, -100))
        if self.task == "sequence_classification":
            if self.name == "bert_regression":
                return dict(labels=torch.tensor([0.75, -1.25]))
            if self.name == "bert_labels":  # any number of labels a row
                return dict(labels=torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0, 0.0]]))
            return dict(labels=torch.tensor([1, 0]))
        if self.task == "token_classification":
            labels = torch.randint(classes, (rows, tokens)).masked_fill(self.tensors["right_mask"] == 0, -100)
            labels[0, 2] = -100
            return dict(labels=labels)
        if self.task == "question_answering":  # one of them is outside
            return dict(start_positions=torch.tensor([2, 4]), end_positions=torch.tensor([5, 40]))
        return {}


def fields_that_python_cannot_tell(case, method):
    """What the config has to say of a model's shape."""
    config, kind = case.config, case.config["model_type"]
    if method in ("lora", "adaption_prompt", "cpt"):
        return {}
    if kind == "distilbert":
        return dict(num_layers=config["n_layers"], num_attention_heads=config["n_heads"], token_dim=config["dim"])
    if config.get("word_embed_proj_dim", 0) != config.get("hidden_size", 0) and kind == "opt":
        return {} if method in CACHES else dict(token_dim=config["word_embed_proj_dim"])
    if method in CACHES and kind in ("t5", "mt5"):
        return dict(token_dim=config["num_heads"] * config["d_kv"])
    if method in CACHES and kind == "bart":
        return dict(num_attention_heads=config["decoder_attention_heads"],
                    num_layers=max(config["encoder_layers"], config["decoder_layers"]))
    return {}


def targets(case):
    kind = case.config["model_type"]
    if kind in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING:
        return {}
    return dict(target_modules=["q_lin", "v_lin"] if kind == "distilbert" else ["query", "value"])


def scores(task, output):
    if task == "FEATURE_EXTRACTION":
        return output.last_hidden_state
    if task == "QUESTION_ANS":
        return torch.stack([output.start_logits, output.end_logits], -1)
    return output.logits


def loss(task, output):
    return output.last_hidden_state.square().mean() if task == "FEATURE_EXTRACTION" else output.loss


def randomise(model):
    begun = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or "prompt_encoder" in name:
            if "modules_to_save" not in name:
                parameter.data += 0.3 * torch.randn_like(parameter)
            parameter.data = parameter.data.bfloat16().float()
            begun[name] = parameter.detach().clone()
    return begun


def call_of(case, method, task, answers):
    call = dict(case.inputs(), **answers)
    if method == "multitask_prompt_tuning":
        call["task_ids"] = torch.tensor([2, 0])
    virtual = METHODS[method][1].get("num_virtual_tokens", 0)
    # Python leaves it to its caller to give labels to the prompt's own tokens.
    if task == "TOKEN_CLS" and virtual and method not in CACHES:
        call["labels"] = torch.cat([torch.full((2, virtual), -100), call["labels"]], 1)
    return call


def run(model, call, answers, task):
    found = {"start." + name: value.bfloat16() for name, value in randomise(model).items()}
    found |= {"saved." + key: value for key, value in get_peft_model_state_dict(model).items()}
    found |= answers
    model.train()

    def forward():
        return model(**{key: value.clone() for key, value in call.items()})

    output = forward()
    found |= {"scores": scores(task, output), "loss": loss(task, output).reshape(1)}
    loss(task, output).backward()
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found |= {"grad." + name: p.grad.clone() for name, p in learning.items() if p.grad is not None}
    found = {key: value.detach().clone() for key, value in found.items()}
    optimizer = torch.optim.AdamW(learning.values(), lr=RATE, weight_decay=0.0, eps=EPSILON)
    for _ in range(3):
        optimizer.zero_grad()
        loss(task, forward()).backward()
        optimizer.step()
    return found | {"after." + name: parameter.detach().clone() for name, parameter in learning.items()}


def written(config):
    fields = {key: value for key, value in config.items() if key not in ("peft_version", "auto_mapping")}
    return json.loads(json.dumps(fields, default=list))


def make_case(case, method, tensors):
    kind, options = METHODS[method]
    task = TASKS[case.task]
    torch.manual_seed(SEED + zlib.crc32(f"{method} {case.name}".encode()) % 10_000)
    options = dict(options, **(targets(case) if method == "lora" else {}), **fields_that_python_cannot_tell(case, method))
    facts = dict(task_type=task, config=dict(options, peft_type=method.upper(), task_type=task))
    try:
        config = kind(task_type=task, **options)
        facts["config"] = written(config.to_dict())
        answers = case.answers()
        model = get_peft_model(case.model(), config)
        facts["completed"] = {key: sorted(set(value)) if isinstance(value, list) else value  # Python adds heads twice
                              for key, value in written(config.to_dict()).items() if key in COMPLETED}
        found = run(model, call_of(case, method, task, answers), answers, task)
    except Exception as error:  # whatever Python says is its answer
        facts["refused"] = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
        return facts
    given = ("labels",) if case.task in ("causal_lm", "seq2seq_lm") else ()
    for key, value in found.items():
        if key not in given:
            tensors[f"{case.name}/{key}"] = value.contiguous().clone()
    return facts


def make(method):
    tensors, cases = {}, {}
    for path in sorted((MODELS / "contract").glob("*.safetensors")):
        case = Case(path)
        if case.task in TASKS and "ids" in case.tensors:
            cases[case.name] = make_case(case, method, tensors)
    path = OUT / f"{method}.safetensors"
    save_file(tensors, path, metadata=dict(cases=json.dumps(cases, sort_keys=True)))
    print(f"{method}: {len(cases)} cases, {path.stat().st_size // 1024} kB")
    for name, facts in cases.items():
        if "refused" in facts:
            print(f"  {name}: {facts['refused']}")


def main():
    OUT.mkdir(exist_ok=True)
    for method in sys.argv[1:] or METHODS:
        make(method)


if __name__ == "__main__":
    main()
