"""The families of encoders and of decoders: every class by the `kind` that configs call it."""

from .causal_autoencoder import CausalDecoder, CausalEncoder
from .diffusers_halves import DiffusersDecoder, DiffusersEncoder
from .network import Decoder, Encoder

ENCODERS: dict[str, type[Encoder]] = {"causal": CausalEncoder, "diffusers": DiffusersEncoder}
DECODERS: dict[str, type[Decoder]] = {"causal": CausalDecoder, "diffusers": DiffusersDecoder}

# Parameters that follow from the bottleneck, and that no config may set.
ENCODER_DERIVED = frozenset({"out_channels"})
DECODER_DERIVED = frozenset({"in_channels"})
