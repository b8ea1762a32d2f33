"""Writes tests/adapter/golden/matching.json: what Python PEFT's target matching decides by name.

Made with peft 0.21.2; the random sets have seed 0. Run: python tests/adapter/golden.py
`match`: LoraConfig arguments with the names that match and those that are excluded, of `names`;
`patterns`: keys of rank_pattern with the key that each name gets, null for none;
`minimal`: target lists of twenty and more, the other names, and what is left of the list.
"""
import json
import pathlib
import random

from peft import LoraConfig
from peft.tuners.tuners_utils import (_ExcludedModule, _find_minimal_target_modules,
                                      check_target_module_exists)
from peft.utils.other import get_pattern_key

PARTS = ["q_proj", "k_proj", "v_proj", "mlp.fc", "mlp.fc1", "experts.0.fc", "experts.1.fc"]
NAMES = (["model", "model.layers", "model.embed_tokens", "lm_head", "classifier", "model.norm", "pre_lm_head",
          "h.1.attn.c_attn", "blocks.2.fc", "model.layers.01.fc", "q_proj", "fc", "head.out.dense", "heads.out.dense",
          "model.layers.x.fc", "model.layers.1", "a.b.layers.3.mlp.fc", "model.layers.10.self_attn.q_proj"]
         + [f"model.layers.{layer}.{part}" for layer in range(3) for part in PARTS])

CONFIGS = [
    dict(target_modules=["q_proj"]),
    dict(target_modules=["fc"]),
    dict(target_modules=["mlp.fc", "lm_head"]),
    dict(target_modules=["model.layers.1.q_proj"]),
    dict(target_modules=[]),
    dict(target_modules=r".*\.(q|v)_proj"),
    dict(target_modules=r"q|q_proj|model\.layers\.0\.q"),
    dict(target_modules=r"(?:.*\.)?(?P<kind>[qk])_proj"),
    dict(target_modules=r"model\.(?!layers\.1).*fc\d?"),
    dict(target_modules=r"(?i).*FC"),
    dict(target_modules=r".*layers\.[12]\..*(?<!experts\.0)\.fc"),
    dict(target_modules=r"^model.*proj$"),
    dict(target_modules=r".*\bfc"),
    dict(target_modules="q_proj"),
    dict(target_modules="all-linear"),
    dict(target_modules="proj"),
    dict(target_modules=["fc", "q_proj"], exclude_modules=["experts.0.fc", "model.layers.1.q_proj"]),
    dict(target_modules=["fc", "q_proj"], exclude_modules=r".*experts.*"),
    dict(target_modules=["fc", "q_proj"], exclude_modules=r"fc"),
    dict(target_modules=["fc"], exclude_modules=[]),
    dict(target_modules=["fc"], exclude_modules=""),
    dict(target_modules=["dense", "lm_head", "classifier"], modules_to_save=["head", "lm_head"]),
    dict(target_modules=["q_proj", "norm"], modules_to_save=["l.yers", "norm"]),
    dict(target_modules=r".*", modules_to_save=["layers.1"]),
    dict(target_modules=["fc"], layers_to_transform=1),
    dict(target_modules=["fc"], layers_to_transform=[0, 2]),
    dict(target_modules=["fc"], layers_to_transform=[]),
    dict(target_modules=["fc"], layers_to_transform=0, layers_pattern="experts"),
    dict(target_modules=["fc"], layers_to_transform=[1, 2], layers_pattern=["blocks", "layers"]),
    dict(target_modules=["fc"], layers_to_transform=[1, 3], layers_pattern=[]),
    dict(target_modules=["fc"], layers_to_transform=[3], layers_pattern=""),
    dict(target_modules=["fc"], layers_to_transform=[2], layers_pattern=r"(?:blocks|layers)"),
    dict(target_modules=["fc", "blocks.2.fc", "fc1"], layers_to_transform=[1]),
    dict(target_modules=["q_proj"], layers_to_transform=[10]),
]
PATTERNS = [
    ["q_proj"], ["proj"], ["^q_proj", "q_proj"], [r"layers\.1\..*fc", "fc"], ["fc|q_proj"], ["fc", "mlp.fc"],
    [r"model.layers.(0|2).*"], [r".*_proj", "q_proj"], ["^model.norm$", "norm"], ["[qk]_proj"],
]


def matched(options):
    config = LoraConfig(**options)
    results = {name: check_target_module_exists(config, name) for name in NAMES}
    return {
        "config": options,
        "excluded": [n for n, r in results.items() if isinstance(r, _ExcludedModule)],
        "matched": [n for n, r in results.items() if r],
    }


def minimal(seed):
    """Names of a random tree, cut into targets and others, as the injection does it."""
    rng = random.Random(seed)
    names = sorted({".".join(rng.choice(["a", "b", "q", "fc", "0", "1"]) for _ in range(rng.randint(1, 4)))
                    for _ in range(90)})
    targets = set(rng.sample(names, 24))
    suffixes = tuple("." + target for target in targets)
    others = [name for name in names if name not in targets and not name.endswith(suffixes)]
    return {"targets": sorted(targets), "others": others,
            "minimal": sorted(_find_minimal_target_modules(targets, others))}


def main():
    out = {
        "names": NAMES,
        "match": [matched(options) for options in CONFIGS],
        "patterns": [{"keys": keys, "found": [key if (key := get_pattern_key(keys, name)) in keys and key != name
                                              or name in keys else None for name in NAMES]} for keys in PATTERNS],
        "minimal": [minimal(seed) for seed in range(12)],
    }
    path = pathlib.Path(__file__).parent / "golden" / "matching.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
