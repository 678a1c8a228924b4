"""Make the small LTX-Video case of `cases/ltx` with diffusers: random weights, and what they give.

Run `python tests/parity/make_ltx_case.py` with the release of diffusers that the case names.
"""

import json
from pathlib import Path

import diffusers
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from safetensors.torch import save_file

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [2, 2, 2, 3],
    "decoder_block_out_channels": [2, 2, 2, 3],
    "layers_per_block": [1, 1, 1, 1, 1],
    "decoder_layers_per_block": [1, 1, 1, 1, 1],
    "spatio_temporal_scaling": [True, True, True, False],
    "decoder_spatio_temporal_scaling": [True, True, True, False],
    "decoder_inject_noise": [False, False, False, False, False],
    "downsample_type": ["conv", "conv", "conv", "conv"],
    "upsample_residual": [False, False, False, False],
    "upsample_factor": [1, 1, 1, 1],
    "timestep_conditioning": False,
    "patch_size": 4,
    "patch_size_t": 1,
    "encoder_causal": True,
    "decoder_causal": False,
}


def main() -> None:
    """Write `small.json` and `small.safetensors`."""
    torch.manual_seed(0)
    model = AutoencoderKLLTXVideo(**CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2).add_(0.5 if parameter.ndim == 1 else 0.0)
        x = torch.rand(1, 3, 9, 32, 32) * 2 - 1
        encoded = model.encode(x)
        assert isinstance(encoded, AutoencoderKLOutput)
        posterior = encoded.latent_dist
        z = torch.randn_like(posterior.mean)
        decoded = model.decode(z)
        assert isinstance(decoded, DecoderOutput)
        tensors = {
            "x": x,
            "enc_mean": posterior.mean,
            "enc_logvar": posterior.logvar,
            "z": z,
            "dec": decoded.sample,
        }
    weights = {f"sd.{name}": tensor for name, tensor in model.state_dict().items()}
    path = Path(__file__).parent / "cases" / "ltx" / "small.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.clone().contiguous() for k, v in (tensors | weights).items()}, path)
    sidecar = {
        "kind": "diffusers.AutoencoderKLLTXVideo",
        "config": CONFIG,
        "diffusers": diffusers.__version__,
        "torch": torch.__version__,
        "seed": 0,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
