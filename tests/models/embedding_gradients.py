"""Makes embedding_gradients.safetensors: gradients of the embedding where padding is among the tokens.

For each case of contract/ named here: that of `(logits of padded_ids under right_mask * probe).sum()`. A model whose
embedding knows the padding gives its row no gradient, except that of a head which is the embedding.

Run: python tests/models/embedding_gradients.py        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import json

import transformers
from contract import HERE, scores
from safetensors import safe_open
from safetensors.torch import save_file

CASES = ("bert_token_classification", "roberta_token_classification", "xlm_roberta_classes", "camembert_answers",
         "distilbert_token_classification", "gpt2_tokens", "gpt_neox_tokens", "llama_body", "llama_tokens",
         "mistral_answers", "qwen2_lm", "qwen3_tokens", "opt_lm", "opt_answers", "t5_body", "t5_tokens", "mt5_encoder",
         "bart_body", "bart_answers")


def gradient(name):
    with safe_open(HERE / "contract" / f"{name}.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    config = json.loads(metadata["config"])
    model_class = getattr(transformers, config["architectures"][0])
    model = model_class(model_class.config_class(**config)).eval()
    weights = {key[len("weight/"):]: value.float() for key, value in tensors.items() if key.startswith("weight/")}
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    inputs = dict(input_ids=tensors["padded_ids"], attention_mask=tensors["right_mask"])
    if "decoder_ids" in tensors:
        inputs.update(decoder_input_ids=tensors["decoder_ids"], decoder_attention_mask=tensors["decoder_mask"])
    logits = scores(metadata["task"], model(**inputs))
    assert (logits - tensors["padded_logits"]).abs().max() < 1e-3, name
    (logits * tensors["probe"]).sum().backward()
    return model.get_input_embeddings().weight.grad.clone()


save_file({name: gradient(name) for name in CASES}, HERE / "embedding_gradients.safetensors",
          metadata=dict(transformers=transformers.__version__))
