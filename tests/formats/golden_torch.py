"""Makes tests/formats/golden/torch_*.bin with torch.save, and beside two of them the same tensors as
safetensors, whose reader has its own tests.

Run with torch 2.11.0 and safetensors 0.8.0; the content is a pure function of this script.
"""
import collections
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden"

numbers = torch.tensor([[0.0, 1.0], [2.0, 64.0]])
names = ("float32 float16 bfloat16 float64 int64 int32 int16 int8 uint8 bool complex64 uint16 uint32 uint64 "
         "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu")
dtypes = {name: numbers.to(getattr(torch, name)) for name in names.split()}
torch.save(dtypes, OUT / "torch_dtypes.bin")
save_file(dtypes, OUT / "torch_dtypes.safetensors")

# One storage seen by many, in the class that Module.state_dict() returns.
whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
views = collections.OrderedDict(
    whole=whole, transposed=whole.t(), row=whole[2], column=whole[:, 1], steps=whole[1::2, ::3], scalar=whole[3, 5],
    alone=torch.ones(3, 1, 2).permute(2, 0, 1), none=torch.zeros(0, 3), parameter=torch.nn.Parameter(torch.full((2,), 7.0)))
views._metadata = {"": {"version": 1}}
torch.save(views, OUT / "torch_views.bin")
save_file({name: view.detach().clone(memory_format=torch.contiguous_format) for name, view in views.items()},
          OUT / "torch_views.safetensors")

torch.save({"lazy": torch.tensor([1 + 2j, 3 - 4j]).conj()}, OUT / "torch_conjugated.bin")
torch.save({"weight": numbers, "step": 3}, OUT / "torch_training_state.bin")
torch.save({"weight": numbers}, OUT / "torch_before_1_6.bin", _use_new_zipfile_serialization=False)
torch.save({"model": torch.nn.Linear(1, 1)}, OUT / "torch_module.bin")
