"""The families of encoders and of decoders: every class by the `kind` that configs call it."""

from .causal_autoencoder import CausalDecoder, CausalEncoder
from .network import Decoder, Encoder

ENCODERS: dict[str, type[Encoder]] = {"causal": CausalEncoder}
DECODERS: dict[str, type[Decoder]] = {"causal": CausalDecoder}

# Parameters that follow from the bottleneck, and that no config may set.
ENCODER_DERIVED = frozenset({"out_channels"})
DECODER_DERIVED = frozenset({"in_channels"})
