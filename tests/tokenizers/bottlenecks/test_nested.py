"""Residual and MultiToken: quantizers made of any quantizers."""

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from commands import run_process
from quantizer_table import QUANTIZERS, constructed, quantizer_of
from tiny import tiny_tokenizer
from vistok import FSQ, GQ, LFQ, VQ, MultiToken, Quantizer, Residual, VisualTokenizer
from vistok.component import ComponentError, build
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS

NESTED = [name for name, options in QUANTIZERS.items() if "quantizer" in options]


def clamped_fsq() -> FSQ:
    return FSQ((5, 5, 5), squash="clamp")


def options_of(*outer: str, **inner: object) -> dict:
    """Options of a quantizer inside others of the given kinds, the outermost first."""
    options = inner
    for kind in reversed(outer):
        options = {"kind": kind, "quantizer": options}
    return options


def vectors(count: int, dim: int) -> torch.Tensor:
    return torch.rand(count, dim, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("inner", "factor"),
    [
        (clamped_fsq, 0.3),
        (partial(LFQ, bits=3), 0.6),
        (partial(VQ, codebook_size=256, codebook_dim=3, kmeans_init=True), 0.6),
    ],
    ids=["fsq", "lfq", "vq"],
)
def test_every_stage_halves_the_error_and_prefixes_decode(
    inner: Callable[[], Quantizer], factor: float
):
    torch.manual_seed(0)
    x = vectors(2000, 3)
    residual = Residual(inner, num_quantizers=3)
    residual(x)
    indices = residual.eval()(x).indices
    errors = [
        (residual.indices_to_codes(indices[:, :n]) - x).abs().mean().item() for n in (1, 2, 3)
    ]
    assert errors[1] < factor * errors[0]
    assert errors[2] < factor * errors[1]


def test_quantizer_dropout_trains_prefixes_and_keeps_the_indices():
    torch.manual_seed(0)
    residual = Residual(clamped_fsq, num_quantizers=4, quantizer_dropout=1.0)
    x = vectors(10, 3)
    whole = residual.eval()(x)
    residual.train()
    prefixes = [residual.indices_to_codes(whole.indices[:, :n]) for n in (1, 2, 3, 4)]
    seen = set()
    for _ in range(60):
        out = residual(x)
        assert torch.equal(out.indices, whole.indices)
        matches = [n for n in range(4) if torch.allclose(out.codes, prefixes[n])]
        assert matches
        seen.add(matches[0])
    assert seen == {0, 1, 2, 3}


def test_the_gradient_of_a_stack_is_that_of_one_quantizer():
    x = vectors(10, 3).requires_grad_()
    Residual(lambda: LFQ(bits=3), num_quantizers=5)(x).codes.sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_residual_over_several_groups_takes_prefixes_of_whole_stages():
    residual = Residual(lambda: GQ(num_groups=2, bits_per_group=3), num_quantizers=3)
    indices = residual(vectors(5, 6)).indices
    assert indices.shape == (5, 6)
    residual.indices_to_codes(indices[:, :4])
    with pytest.raises(ValueError, match="for a prefix in a multiple of 2"):
        residual.indices_to_codes(indices[:, :3])


def test_tokens_of_multi_token_are_independent():
    two = MultiToken(lambda: FSQ((8, 5)), num_tokens=2)
    x = vectors(20, 4)
    out, fsq = two(x), FSQ((8, 5))
    for k in range(2):
        part = fsq(x[:, 2 * k : 2 * k + 2])
        assert torch.equal(out.codes[:, 2 * k : 2 * k + 2], part.codes)
        assert torch.equal(out.indices[:, k : k + 1], part.indices)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiToken(lambda: FSQ((1,))), "^levels must each be >= 2"),
        (lambda: Residual(FSQ, num_quantizers=0), "num_quantizers must be >= 1, got 0"),
        (lambda: MultiToken(FSQ, dim=0), "dim must be >= 1, got 0"),
        (lambda: Residual(FSQ, quantizer_dropout=2.0), "quantizer_dropout must lie"),
        (lambda: Residual(FSQ, scale=0.0), "scale must be > 0, got 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            options_of("residual", kind="kl"),
            r"^a\.b\.quantizer\.kind: must be one of fsq, lfq, .*dual_path, got 'kl'$",
        ),
        (
            options_of("residual", kind="fsqq"),
            r"^a\.b\.quantizer\.kind: must be one of fsq, .*, got 'fsqq'; did you mean fsq\?$",
        ),
        (
            options_of("multi_token", kind="fsq", steps=3),
            r"^a\.b\.quantizer\.steps: unknown key$",
        ),
        (
            options_of("residual", "residual", "residual", kind="fsq", levelz=[3]),
            r"^a\.b\.quantizer\.quantizer\.quantizer\.levelz: unknown key; "
            r"did you mean a\.b\.quantizer\.quantizer\.quantizer\.levels\?$",
        ),
        (
            options_of("multi_token", "residual", kind="fsq", levels=[1]),
            r"^a\.b\.quantizer\.quantizer: levels must each be >= 2[^:]*$",
        ),
        ({"kind": "residual", "quantizer": "fsq"}, "^a.b.quantizer: must be a mapping with a kind"),
        ({"kind": "residual"}, "^a.b.quantizer: required, but not set$"),
        ({"kind": "residual", "quantizer": {}}, "^a.b.quantizer.kind: required, but not set$"),
    ],
)
def test_an_error_in_a_config_names_the_whole_path(options, message):
    with pytest.raises(ValueError, match=message):
        build(BOTTLENECKS, options, "a.b")


def test_a_refusal_names_the_component_that_refused():
    # the path of the part, and not that of the component around it before it
    with pytest.raises(ComponentError, match=r"^bottleneck\.quantizer: levels must"):
        build(BOTTLENECKS, options_of("residual", kind="fsq", levels=[1]), "bottleneck")
    options = options_of("residual", kind="fsq") | {"num_quantizers": 0}
    with pytest.raises(ValueError, match=r"^bottleneck\.num_quantizers: input should .* 1, got 0"):
        build(BOTTLENECKS, options, "bottleneck")


WRONG_PARTS = {
    "Residual({'kind': 'fsq'})": (
        "quantizer must be a function that makes a quantizer, such as lambda: FSQ((8, 5, 5)), "
        "got a dict; mappings with a kind belong in configs"
    ),
    "MultiToken(FSQ())": (
        "quantizer must be a function that makes a quantizer, such as lambda: FSQ((8, 5, 5)), "
        "got an object of type FSQ"
    ),
    "Residual(KL)": (
        "quantizer must make a Quantizer, as lambda: FSQ((8, 5, 5)) does; "
        "it made an object of type KL"
    ),
    "Residual(lambda only=FSQ(): only)": (
        "quantizer must make a new quantizer at every call, as lambda: FSQ((8, 5, 5)) does; "
        "it returned the same one twice"
    ),
    "Residual(iter([FSQ((8,)), FSQ((5, 5))]).__next__, num_quantizers=2)": (
        "quantizer must make quantizers of the same sizes, "
        "got (dim, code_dim, group_sizes) = (1, 1, (8,)) and (2, 2, (25,))"
    ),
    "DualPath(continuous={'kind': 'kl'}, quantizer=FSQ())": (
        "continuous must be a Continuous such as KL(16), "
        "got a dict; mappings with a kind belong in configs"
    ),
    "DualPath(continuous=KL(), quantizer=FSQ)": (
        "quantizer must be a Quantizer such as FSQ((8, 5, 5)), got the class FSQ"
    ),
}

CALL_ALL = """
import json, sys
from vistok import FSQ, KL, DualPath, MultiToken, Residual

def refusal(expression):
    try:
        eval(expression)
    except ValueError as error:
        return str(error)

print(json.dumps({expression: refusal(expression) for expression in sys.argv[1:]}))
"""


@pytest.mark.slow
def test_a_part_of_the_wrong_type_is_refused_in_one_line():
    # in a process without the runtime checks of annotations, which would refuse it before
    command = [sys.executable, "-c", CALL_ALL, *WRONG_PARTS]
    done = run_process(command, check=True)
    assert json.loads(done.stdout) == WRONG_PARTS


def test_the_python_of_the_guide_runs():
    text = (Path(__file__).parents[3] / "docs" / "quantizers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert any("lambda" in block for block in blocks)
    for block in blocks:
        exec(block, {"latents": torch.zeros(2, 32)})


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_builder_and_the_constructors_make_the_same_quantizer(name: str):
    built, direct = quantizer_of(name), constructed(name)
    assert repr(built) == repr(direct)
    assert built.group_sizes == direct.group_sizes
    state = built.state_dict()
    assert state.keys() == direct.state_dict().keys()
    for key, value in direct.state_dict().items():
        assert torch.equal(value, state[key]), key
    x = vectors(20, built.dim)
    assert torch.equal(built.eval()(x).codes, direct.eval()(x).codes)


@pytest.mark.parametrize("name", NESTED)
def test_a_tokenizer_of_nested_bottlenecks_is_saved_and_loaded(name: str, tmp_path):
    tokenizer = tiny_tokenizer("image", QUANTIZERS[name])
    tokenizer.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["bottleneck_config"] == QUANTIZERS[name]
    loaded = VisualTokenizer.from_pretrained(tmp_path)
    pixels = vectors(3 * 16, 16).reshape(1, 3, 1, 16, 16)
    assert torch.equal(loaded.encode(pixels).tokens, tokenizer.encode(pixels).tokens)


def projected_cases(folder):
    """Every stored case of multi-token FSQ between two linear layers."""
    for sidecar in sorted(folder.rglob("*.json")):
        cases = json.loads(sidecar.read_text()).get("cases", {})
        for name, case in cases.items():
            if isinstance(case, dict) and "dim" in case and "levels" in case:
                yield name, case, load_file(sidecar.with_suffix(".safetensors"))


def test_the_projected_variant_equals_the_reference(parity_folder):
    cases = list(projected_cases(parity_folder))
    if not cases:
        pytest.skip(f"no projected quantizer cases in {parity_folder}")
    for name, case, tensors in cases:
        inner = partial(FSQ, case["levels"])
        quantizer = MultiToken(inner, num_tokens=case["num_codebooks"], dim=case["dim"]).eval()
        prefix = f"{name}.sd."
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        quantizer.load_state_dict(state)
        out = quantizer(tensors[f"{name}.z"].movedim(1, -1))
        assert torch.equal(out.indices, tensors[f"{name}.indices"])
        codes = out.codes.movedim(-1, 1)
        torch.testing.assert_close(codes, tensors[f"{name}.quantized"], atol=2e-6, rtol=0)
