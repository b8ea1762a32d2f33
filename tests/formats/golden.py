"""Makes tests/formats/golden/python.safetensors with Python's safetensors.

Run with torch 2.11.0 and safetensors 0.8.0; the content is a pure function of this script.
"""
import pathlib

import torch
from safetensors.torch import save_file

tensors = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.weight": torch.arange(4, dtype=torch.float32).reshape(4),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "brain": torch.tensor([[0.5], [3.0]], dtype=torch.bfloat16),
    "wide": torch.tensor([1.0, 1e300], dtype=torch.float64),
    "ids": torch.tensor([[1, -(2**40)]], dtype=torch.int64),
    "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
    "flags": torch.tensor([True, False, True]),
    "tiny": torch.tensor([1.0, -0.5, 448.0], dtype=torch.float8_e4m3fn),
    "none": torch.zeros(0, 3),
    "scalar": torch.tensor(7, dtype=torch.int32),
}
out = pathlib.Path(__file__).parent / "golden"
out.mkdir(exist_ok=True)
save_file(tensors, out / "python.safetensors", metadata={"format": "pt"})
