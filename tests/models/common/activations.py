"""Makes activations.json: what transformers' activation functions make of a few numbers.

Run: python tests/models/common/activations.py        (torch 2.11.0, transformers 5.17.0)
"""

import json
import pathlib

import torch
from transformers.activations import ACT2FN

INPUTS = [-20.0, -3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.5, 20.0]
WITH_PARAMETERS = ("prelu", "xielu")


def main():
    x = torch.tensor(INPUTS)
    outputs = {name: ACT2FN[name](x).tolist() for name in ACT2FN if name not in WITH_PARAMETERS}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(dict(inputs=INPUTS, outputs=outputs), indent=1) + "\n")
    print(len(outputs), "functions")


main()
