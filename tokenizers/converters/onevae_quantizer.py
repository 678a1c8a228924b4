"""The quantizers of OneVAE: what a file tells of them, and what only a config does.

Linear layers stand on both sides of every quantizer, so that all are `multi_token` with `dim`. An
FSQ that has linear layers of its own is one such quantizer inside another. The tensors of VQ and
IBQ are alike, and those of FSQ do not tell its levels: `--config` gives `quant_type` and
`quant_config`, beside which it may have any other settings, as OneVAE's own configs do.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt
from torch import Tensor

from ...component import validate
from ..bottlenecks.fsq import DEFAULT_LEVELS

QuantType = Literal["FSQ", "VectorQuantizer", "VQ", "SimVQ", "IBQ"]

# Ours -> theirs, below `bottleneck.quantizer.`.
NAMES = {
    "project_in.": "quant_conv.",
    "project_out.": "post_quant_conv.",
    "quantizers.0.project_in.": "quantize.project_in.",
    "quantizers.0.project_out.": "quantize.project_out.",
    "quantizers.0.codebook": "quantize.embedding.weight",
    "quantizers.0.table": "quantize.embedding",
    "quantizers.0.map.": "quantize.embedding_proj.",
}


class QuantSettings(BaseModel):
    """The settings of OneVAE's quantizers that no tensor tells; others are left alone."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    quant_type: QuantType | None = None
    levels: tuple[PositiveInt, ...] | None = None
    num_codebooks: PositiveInt | None = None
    beta: NonNegativeFloat = 0.25
    legacy: bool = True


def quant_settings(config: Mapping[str, Any]) -> QuantSettings:
    """Read the settings from a config: at its top level, or below `model.params` or `params`.

    Raises:
        ValueError: a setting of the wrong type.
    """
    for key in ("model", "params"):
        inner = config.get(key)
        config = inner if isinstance(inner, Mapping) else config
    inner = config.get("quant_config")
    return validate(QuantSettings, {**config, **(inner if isinstance(inner, Mapping) else {})})


def quantizer_options(state: Mapping[str, Tensor], settings: QuantSettings) -> dict[str, Any]:
    """Return the options of the quantizer between the latents and the decoder.

    Args:
        state: tensors of the file, which has `quant_conv.weight`.
        settings: what a config says.

    Raises:
        ValueError: the tensors do not fit the settings, or do not tell the kind of quantizer.
    """
    between, channels = _matrix(state, "quant_conv.weight")
    kind = settings.quant_type or _kind(state)
    if kind == "FSQ":
        return _fsq_options(state, settings, between, channels)
    table = "quantize.embedding" if kind == "SimVQ" else "quantize.embedding.weight"
    codes, width = _matrix(state, table)
    # `legacy`, the default, has beta beside the other term than the paper.
    weights = (1.0, settings.beta)
    if not settings.legacy and kind != "IBQ":
        weights = (settings.beta, 1.0)
    quantizer: dict[str, Any] = {
        "kind": {"SimVQ": "simvq", "IBQ": "ibq"}.get(kind, "vq"),
        "codebook_size": codes,
        "codebook_dim": width,
        "commitment_weight": weights[0],
        "codebook_weight": weights[1],
    }
    if kind == "IBQ":
        quantizer["entropy_weight"] = 0.0
    return {"kind": "multi_token", "quantizer": quantizer, "num_tokens": 1, "dim": channels}


def quantizer_name(name: str) -> str | None:
    """Return OneVAE's name for one of ours below `bottleneck.quantizer.`, or None."""
    for ours, theirs in NAMES.items():
        if name == ours or (ours.endswith(".") and name.startswith(ours)):
            return theirs + name.removeprefix(ours)
    return None


def _kind(state: Mapping[str, Tensor]) -> QuantType:
    """Return the kind of quantizer that the tensors tell."""
    if "quantize.embedding_proj.weight" in state:
        return "SimVQ"
    if "quantize.embedding.weight" in state:
        raise ValueError(
            "the file has a codebook, which may be one of VQ or of IBQ: give --config with "
            "quant_type: VectorQuantizer or quant_type: IBQ"
        )
    return "FSQ"


def _fsq_options(
    state: Mapping[str, Tensor], settings: QuantSettings, between: int, channels: int
) -> dict[str, Any]:
    projected = "quantize.project_in.weight" in state
    scalars = _matrix(state, "quantize.project_in.weight")[0] if projected else between
    levels = settings.levels or DEFAULT_LEVELS
    tokens, rest = divmod(scalars, len(levels))
    if rest or settings.num_codebooks not in (None, tokens):
        wanted = f" x {settings.num_codebooks} codebooks" if settings.num_codebooks else ""
        raise ValueError(
            f"the file quantizes {scalars} values per position, which {len(levels)} levels "
            f"{levels}{wanted} do not give; state quant_config.levels and num_codebooks in --config"
        )
    options = {
        "kind": "multi_token",
        "quantizer": {"kind": "fsq", "levels": list(levels)},
        "num_tokens": tokens,
        "dim": between if projected else channels,
    }
    if not projected:
        return options
    return {"kind": "multi_token", "quantizer": options, "num_tokens": 1, "dim": channels}


def _matrix(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Return the shape of a matrix."""
    shape = tuple(state[name].shape) if name in state else None
    if shape is None or len(shape) != 2:
        raise ValueError(f"the file should have a matrix {name}, found {shape or 'none'}")
    return shape[0], shape[1]
