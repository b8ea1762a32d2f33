"""Writes tests/methods/lora/golden/init_factors.safetensors: how LoRA's ways of beginning take a weight apart.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, and bitsandbytes 0.50.2 for the quantisers. Run:
python tests/methods/lora/golden_init.py, with bitsandbytes on the path. `weight` [6, 10] and `gradient` are what the
cases begin with; `<case>.a`, `.b` and `.weight` are what Python makes of them, after torch.manual_seed(5).
"""
import dataclasses
import pathlib
import sys
import types

import torch
from safetensors.torch import save_file
from torch import nn

sys.modules.setdefault("attr", types.SimpleNamespace(dataclass=dataclasses.dataclass))
from peft import LoraConfig, LoraGAConfig  # noqa: E402
from peft.tuners.lora.corda import CordaEigens, collect_eigens_for_layer  # noqa: E402
from peft.tuners.lora.layer import Linear  # noqa: E402
from peft.utils.incremental_pca import IncrementalPCA  # noqa: E402
from peft.utils.loftq_utils import _low_rank_decomposition  # noqa: E402

OUT = pathlib.Path(__file__).parent / "golden" / "init_factors.safetensors"
RANK, ALPHA = 2, 5


def lora_layer(weight):
    base = nn.Linear(weight.shape[1], weight.shape[0])
    base.weight.data = weight.clone()
    return Linear(base, "default", LoraConfig(r=RANK, lora_alpha=ALPHA), r=RANK, lora_alpha=ALPHA)


def case(weight, begin, **attributes):
    layer = lora_layer(weight)
    for name, value in attributes.items():
        setattr(layer.get_base_layer(), name, value)
    torch.manual_seed(5)
    begin(layer)
    return {"a": layer.lora_A["default"].weight.data, "b": layer.lora_B["default"].weight.data,
            "weight": layer.get_base_layer().weight.data}


def factor_cases(weight, gradient, covariance):
    cases = {
        "pissa": case(weight, lambda l: l.pissa_init("default", "pissa")),
        "pissa_niter_3": case(weight, lambda l: l.pissa_init("default", "pissa_niter_3")),
        "olora": case(weight, lambda l: l.olora_init("default")),
        "mica": case(weight, lambda l: l.mica_init("default")),
        "orthogonal": case(weight, lambda l: l.orthogonal_init("default")),
    }
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data = weight.clone()
    linear.covariance_matrix = covariance
    found = collect_eigens_for_layer(linear, LoraConfig())
    for method, part in {"ipm": slice(None, RANK), "kpm": slice(-RANK, None)}.items():
        eigens = CordaEigens(S_WC=found.S_WC[part].clone(), U_WC=found.U_WC[:, part].clone(),
                             V_WC=found.V_WC[:, part].clone())
        cases[f"corda_{method}"] = case(weight, lambda l: l.corda_init("default", "corda"), eigens=eigens)
    for direction in ("ArBr", "A2rBr", "ArB2r", "random"):
        settings = LoraGAConfig(direction=direction, scale="unit")
        cases[f"lora_ga_{direction}"] = case(weight, lambda l: l.lora_ga_init("default", settings),
                                             _peft_loraga_grad=gradient)
    for scale in ("stable", "weight_svd", "gd_scale"):
        settings = LoraGAConfig(scale=scale)
        cases[f"lora_ga_{scale}"] = case(weight, lambda l: l.lora_ga_init("default", settings),
                                         _peft_loraga_grad=gradient)
    return cases


def nf4(weight):
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit
    packed, state = quantize_4bit(weight, blocksize=64, compress_statistics=False, quant_type="nf4")
    codes = torch.stack([packed.view(-1) >> 4, packed.view(-1) & 15], 1).view(-1)[:weight.numel()]
    return codes, state.absmax, dequantize_4bit(packed, state)


def int8(weight):
    from bitsandbytes.functional import int8_vectorwise_dequant, int8_vectorwise_quant
    codes, stats, _ = int8_vectorwise_quant(weight.to(torch.float16))
    return codes, stats, int8_vectorwise_dequant(codes, stats)


def loftq(weight, quantise, iterations):
    """loftq_init of PEFT, which insists on a GPU, with the same quantisers on the processor."""
    rest = weight.clone()
    for _ in range(iterations):
        dequantised = quantise(rest)[-1]
        found = _low_rank_decomposition(weight - dequantised, RANK)
        rest = weight - found["L"] @ found["R"]
    return {"a": found["R"], "b": found["L"], "weight": dequantised}


def main():
    torch.manual_seed(0)
    weight, gradient = torch.randn(6, 10), torch.randn(6, 10)
    inputs = torch.randn(40, 10)
    covariance = inputs.t() @ inputs / 40
    tensors = {"weight": weight, "gradient": gradient, "covariance": covariance}
    cases = factor_cases(weight, gradient, covariance)
    for iterations in (1, 3):
        cases[f"loftq_4_{iterations}"] = loftq(weight, nf4, iterations)
        cases[f"loftq_8_{iterations}"] = loftq(weight, int8, iterations)
    for name, values in cases.items():
        tensors |= {f"{name}.{key}": value for key, value in values.items()}
    odd = torch.randn(3, 67)  # 201 numbers: the last block is short
    odd[1] = 0
    tensors["odd"] = odd
    for name, quantise in {"nf4": nf4, "int8": int8}.items():
        codes, scales, values = quantise(odd)
        tensors |= {f"{name}.codes": codes, f"{name}.scales": scales, f"{name}.values": values}
    for name, options in {"full": {}, "lowrank": {"lowrank": True, "lowrank_seed": 42}}.items():
        pca = IncrementalPCA(n_components=3, **options)
        for batch in inputs.split(20):
            pca.partial_fit(batch)
        tensors |= {f"pca_{name}.components": pca.components_, f"pca_{name}.values": pca.singular_values_,
                    f"pca_{name}.mean": pca.mean_, f"pca_{name}.variance": pca.var_,
                    f"pca_{name}.ratio": pca.explained_variance_ratio_,
                    f"pca_{name}.transformed": pca.transform(inputs)}
    tensors["inputs"] = inputs
    save_file({name: value.contiguous() for name, value in tensors.items()}, OUT)


if __name__ == "__main__":
    main()
