"""OneVAE's checkpoints (arXiv 2508.09857): reading published and training files, and writing them.

The networks have the names of Wan 2.1 (`wan_names.py`) below `model.`; the linear layers beside the
quantizer are `quant_conv` and `post_quant_conv`. Training files also hold the losses, a record of
recent indices, and moving averages of every part under the part's names without dots:

    model.encoder.conv1.weight  ->  ema_model.encoderconv1weight
    quant_conv.weight           ->  ema_quant_conv.weight

This rule cannot be inverted, so names are always derived from the raw ones. What has no average,
such as SimVQ's frozen table, is used raw. The tokenizer has both paths (`dual_path`): continuous
latents and their quantized form. Models with first-frame enhancement are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...config import load_config
from ..bottlenecks.dual_path import DualPath
from ..bottlenecks.fsq import DEFAULT_LEVELS, FSQ
from ..bottlenecks.ibq import IBQ
from ..bottlenecks.kl import KL
from ..bottlenecks.multi_token import MultiToken
from ..bottlenecks.simvq import SimVQ
from ..bottlenecks.vq import VQ
from ..tokenizer import VisualTokenizer
from .checkpoint_file import Tensors, read_checkpoint
from .converter import Conversion, Converter, account, load_exactly
from .onevae_quantizer import QuantSettings, quant_settings, quantizer_name, quantizer_options
from .wan_architecture import WanArchitecture, architecture_of, infer_architecture
from .wan_names import own_weights, reference_names, reference_weights

FILE_NAME = "OneVAE.ckpt"
MODEL, EMA = "model.", "ema_"
PARTS = ("quantize", "quant_conv", "post_quant_conv")
FIRST_FRAME = ("decoder.downsample_highres_first.", "decoder.upsample_highres.")
RECORD = "codebook_used"
RECORD_SIZE = 65_536
AVERAGING = ("decay", "num_updates")

NO_ONEVAE = (
    "this tokenizer is not a OneVAE: its bottleneck is not dual_path of kl and a multi_token with "
    "dim, whose quantizers are fsq, or one vq, simvq or ibq"
)


@dataclass(frozen=True)
class OneVAEConverter(Converter):
    """The converter of OneVAE's checkpoints; the sizes are in the tensors.

    Attributes:
        weights: "ema" uses moving averages where the file has them, "raw" never.
        config: YAML or JSON with `quant_type` and `quant_config`, which no tensor tells.
    """

    weights: str = "ema"
    config: Path | None = None

    def __post_init__(self) -> None:
        if self.weights not in ("ema", "raw"):
            raise ValueError(f"weights must be ema or raw, got {self.weights!r}")

    def read(self, checkpoint: Path) -> Conversion:
        """Read a checkpoint: moving averages or raw weights, as the options say."""
        state = bare_state(read_checkpoint(checkpoint))
        _check_family(state, checkpoint)
        architecture = infer_architecture(state, checkpoint)
        settings = QuantSettings() if self.config is None else _read_settings(self.config)
        tokenizer = build_tokenizer(architecture, state, settings)
        own = tokenizer.state_dict()
        names = onevae_names(own, architecture)
        chosen = {theirs: self._chosen(theirs, state) for theirs in names.values()}
        found = {theirs: state[name] for theirs, name in chosen.items() if name in state}
        used = {chosen[theirs] for theirs in found}
        ignored = account(state, used, _excuses(set(names.values())))
        load_exactly(tokenizer, own_weights(names, found, own), checkpoint)
        averaged = sum(name.startswith(EMA) for name in used)
        return Conversion(
            source=checkpoint,
            tokenizer=tokenizer.eval(),
            weights=f"{averaged} averaged and {len(used) - averaged} raw tensors"
            + _default_levels(tokenizer, settings),
            used=len(used),
            ignored=ignored,
        )

    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write raw weights, without averages, and an empty record of indices."""
        architecture = architecture_of(tokenizer)
        _check_bottleneck(tokenizer)
        own = tokenizer.state_dict()
        state = reference_weights(onevae_names(own, architecture), own)
        state = {
            name if name.split(".")[0] in PARTS else MODEL + name: tensor
            for name, tensor in state.items()
        }
        path = folder / FILE_NAME
        if path.exists():
            raise ValueError(f"{path} already exists; choose another --output")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": {RECORD: torch.zeros(RECORD_SIZE), **state}}, path)
        return path

    def _chosen(self, name: str, state: Mapping[str, Tensor]) -> str:
        """Return the name of the tensor in the file that is used for a weight."""
        averaged = ema_name(name)
        return averaged if self.weights == "ema" and averaged in state else name


def bare_state(state: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors with the names of the networks bare, as in Wan 2.1's original file.

    Raises:
        ValueError: two tensors would have the same name.
    """
    bare: Tensors = {}
    for name, tensor in state.items():
        while name.startswith(MODEL):
            name = name.removeprefix(MODEL)
        if name in bare:
            raise ValueError(f"the file holds {name} twice, with and without {MODEL}")
        bare[name] = tensor
    return bare


def onevae_names(names: Iterable[str], architecture: WanArchitecture) -> dict[str, str]:
    """Return OneVAE's name, bare, for each of ours.

    Raises:
        ValueError: a tensor of the bottleneck that OneVAE does not have.
    """
    networks, bottleneck = [], {}
    for name in names:
        if not name.startswith("bottleneck."):
            networks.append(name)
            continue
        theirs = quantizer_name(name.removeprefix("bottleneck.quantizer."))
        if theirs is None:
            raise ValueError(f"{NO_ONEVAE}; it has {name}")
        bottleneck[name] = theirs
    return reference_names(networks, architecture.levels, architecture.blocks) | bottleneck


def ema_name(name: str) -> str:
    """Return the name of the moving average of a weight with a bare name."""
    part, _, inside = name.partition(".")
    if part not in PARTS:
        part, inside = "model", name
    return f"{EMA}{part}.{inside.replace('.', '')}"


def _excuses(raw: set[str]) -> dict[str, Callable[[str], bool]]:
    """Return the reasons for leaving a tensor out, each with the names it applies to."""
    averages = {ema_name(name) for name in raw}
    records = {f"{EMA}{part}.{entry}" for part in ("model", *PARTS) for entry in AVERAGING}
    return {
        "raw weights that have an average": raw.__contains__,
        "averages, raw weights were requested": averages.__contains__,
        "record of the averaging": records.__contains__,
        "record of recent indices": {RECORD}.__contains__,
        "networks of the losses": lambda name: name.startswith("loss."),
    }


def _check_family(state: Mapping[str, Tensor], source: Path) -> None:
    """Raise for files of other networks that share names with OneVAE's.

    Raises:
        ValueError: first-frame enhancement, or diffusers' names.
    """
    if any(name.startswith(FIRST_FRAME) for name in state):
        raise ValueError(
            f"{source} is a OneVAE with first-frame enhancement (it has "
            f"{FIRST_FRAME[0].rstrip('.')}), whose latents need two grids, and vistok's tokenizers "
            "have one; models without it are converted"
        )
    linear = state.get("quant_conv.weight")
    if "encoder.conv_in.weight" in state or (linear is not None and linear.ndim == 5):
        raise ValueError(
            f"{source} has the names of diffusers' AutoencoderKLWan: convert it with the family wan"
        )


def _read_settings(config: Path) -> QuantSettings:
    if not config.is_file():
        raise FileNotFoundError(f"no config at {config}")
    return quant_settings(load_config(config))


def build_tokenizer(
    architecture: WanArchitecture, state: Mapping[str, Tensor], settings: QuantSettings
) -> VisualTokenizer:
    """Build the tokenizer: with both paths, or only the continuous one where nothing quantizes."""
    continuous = {
        "kind": "kl",
        "latent_channels": architecture.latent_channels,
        "kl_weight": 0.0,
    }
    if "quant_conv.weight" not in state:
        return architecture.build(continuous)
    quantizer = quantizer_options(state, settings)
    return architecture.build(
        {"kind": "dual_path", "continuous": continuous, "quantizer": quantizer}
    )


def _default_levels(tokenizer: VisualTokenizer, settings: QuantSettings) -> str:
    """Return a remark on the levels of an FSQ for which no config gives them."""
    assumed = settings.levels is None and any(isinstance(m, FSQ) for m in tokenizer.modules())
    return f"; FSQ levels {DEFAULT_LEVELS} as published, not in the file" if assumed else ""


def _check_bottleneck(tokenizer: VisualTokenizer) -> None:
    """Raise unless a bottleneck is one of OneVAE's."""
    bottleneck = tokenizer.bottleneck
    if not isinstance(bottleneck, DualPath) or not isinstance(bottleneck.quantizer, MultiToken):
        raise ValueError(NO_ONEVAE)
    continuous, outer = bottleneck.continuous, bottleneck.quantizer
    inner = list(outer.quantizers)
    is_nested = len(inner) == 1 and isinstance(inner[0], MultiToken) and inner[0].project_in
    scalars = list(inner[0].quantizers) if is_nested and isinstance(inner[0], MultiToken) else inner
    is_fsq = all(isinstance(q, FSQ) and q.squash == "tanh" and not q.symmetric for q in scalars)
    is_table = len(inner) == 1 and isinstance(inner[0], VQ | SimVQ | IBQ)
    is_table = is_table and getattr(inner[0], "distance", "euclidean") == "euclidean"
    is_mean = isinstance(continuous, KL) and continuous.logvar == "per_channel"
    if outer.project_in is None or not is_mean or not (is_fsq or is_table):
        raise ValueError(NO_ONEVAE)
