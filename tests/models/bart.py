"""Makes bart/classification.safetensors: a tiny BART that classifies rows, as transformers runs it.

Unlike those of contract.py, its inputs have end tokens, which the model looks for.

Run: python tests/models/bart.py        (torch 2.11.0, transformers 5.17.0, safetensors)
"""


import torch
import transformers
from contract import HERE, SEED, build, gradients, weights
from safetensors.torch import save_file

from cases_seq2seq import BART

torch.manual_seed(SEED)
_, model = build(dict(BART, task="sequence_classification", model_type="bart", num_labels=4))
ids = torch.randint(3, model.config.vocab_size, (3, 8))
ids[0, 7] = ids[1, 5] = ids[2, 4] = 2
ids[1, 6:] = ids[2, 5:] = 1
mask = ids.ne(1).long()
twice = ids.clone()
twice[:, 0] = 2
out = dict(ids=ids, mask=mask, twice=twice)
with torch.no_grad():
    out["logits"] = model(input_ids=ids, attention_mask=mask).logits
    out["twice_logits"] = model(input_ids=twice, attention_mask=mask).logits
gradients(model, out, model(input_ids=ids, attention_mask=mask).logits)
out = {k: v for k, v in out.items() if not k.startswith("gradient/") or "classification_head" in k or "shared" in k}
out.update(weights(model))
metadata = dict(config=model.config.to_json_string(), task="sequence_classification", seed=str(SEED),
                torch=torch.__version__, transformers=transformers.__version__)
(HERE / "bart").mkdir(exist_ok=True)
save_file({k: v.detach().contiguous().clone() for k, v in out.items()}, HERE / "bart" / "classification.safetensors",
          metadata=metadata)
