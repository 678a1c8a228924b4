"""VisualTokenizer: encoder, bottleneck and decoder as one model.

    pixels (B, 3, T, H, W) in [-1, 1]
      -> encoder -> latents (B, C, t, h, w)
      -> bottleneck -> codes (B, C', t, h, w) <-> indices (B, t, h, w, groups)
      -> decoder -> pixels

This is the only class that knows time and space as well as tokens; it permutes axes to channels
last, as bottlenecks expect, and back. It is a diffusers `ModelMixin`: `from_pretrained`,
`save_pretrained`, `push_to_hub`, dtype and device handling work as in diffusers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch
from accelerate import init_empty_weights
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor, nn

from ..component import build
from ..eval_mode import eval_mode
from ..models.blocks.latent_scale import ChannelValues, LatentScale
from ..models.blocks.stream_state import StreamState
from ..models.catalog import DECODERS, ENCODERS
from ..models.network import Decoder, Encoder
from ..models.receptive_field import sees_whole_clip
from .bottlenecks.bottleneck import Bottleneck, Quantized, Quantizer
from .bottlenecks.catalog import BOTTLENECKS
from .bottlenecks.dual_path import PathName, continuous_part, paths_of
from .bottlenecks.kl import KLRegularized
from .bottlenecks.posterior import Gaussian, posterior_of
from .decode_options import DecodeOptions, DecoderInputs, ForwardOptions, Grids, only_grid
from .diffusers_weights import describe
from .encoding import Encoding, Output, joined
from .input_checks import (
    Given,
    check_chunks,
    check_codes,
    check_images,
    check_layout,
    check_pixel_range,
    check_pixels,
    check_tokens,
)
from .layout import Layout, Size, SizeRule
from .model_card import card_text, write_card
from .modules import (
    REGISTERED_BY,
    check_linear_layers,
    check_modules,
    configs_of,
    modules_of_kinds,
    with_class_of,
)
from .pretrained import StrictModel
from .streaming import FrameSize, check_streamable, decode_chunks, encode_chunks
from .tiling import TiledDecoder, TiledEncoder

if TYPE_CHECKING:
    from .diffusers_adapter import DiffusersAdapter

PIXEL_CHANNELS = 3

if TYPE_CHECKING:
    Decodable = Encoding | Grids
else:
    Decodable = Any  # as `Given`


class VisualTokenizer(StrictModel):
    """A visual tokenizer for images (clips of one frame) and video.

    Args:
        encoder_config: options of the encoder, with `kind`; its output channels follow from the
            bottleneck.
        bottleneck_config: options of the bottleneck, with `kind`.
        decoder_config: options of the decoder, with `kind`; its input channels follow from the
            bottleneck.
        latents_mean: mean of every latent channel over a data set, used by `normalize`.
        latents_std: standard deviation of every latent channel, likewise.
        scaling_factor: one factor for all channels, for models that publish it, too.
        shift_factor: one shift for all channels, instead of the mean.
        latent_patch_size: side of the squares of positions that `normalize` packs into channels.

    Example:
        >>> import torch
        >>> from vistok import VisualTokenizer
        >>> network = {"kind": "causal", "patch_size": 8, "stages": [{"width": 16, "blocks": 1}]}
        >>> quantizer = {"kind": "fsq", "levels": (8, 5, 5)}
        >>> tokenizer = VisualTokenizer(network, quantizer, network).eval()
        >>> pixels = torch.rand(2, 3, 1, 32, 48) * 2 - 1  # two images
        >>> encoding = tokenizer.encode(pixels)
        >>> encoding.tokens.shape, encoding.layout.grids
        (torch.Size([2, 24]), ((1, 4, 6),))
        >>> with torch.no_grad():
        ...     decoded = tokenizer.decode_tokens(encoding.tokens, encoding.layout)
        >>> decoded.shape
        torch.Size([2, 3, 1, 32, 48])
    """

    _supports_gradient_checkpointing = True

    # What no config describes, of a tokenizer put together from modules; see `from_modules`.
    _undescribed: tuple[str, ...] = ()

    @register_to_config
    def __init__(
        self,
        encoder_config: Mapping[str, Any],
        bottleneck_config: Mapping[str, Any],
        decoder_config: Mapping[str, Any],
        latents_mean: ChannelValues | None = None,
        latents_std: ChannelValues | None = None,
        scaling_factor: float | None = None,
        shift_factor: float | None = None,
        latent_patch_size: int = 1,
    ) -> None:
        super().__init__()
        if any(
            isinstance(p, nn.Module) for p in (encoder_config, bottleneck_config, decoder_config)
        ):
            raise ValueError(
                "VisualTokenizer takes mappings of options, each with a kind; "
                "modules are put together by VisualTokenizer.from_modules"
            )
        bottleneck: Bottleneck = build(BOTTLENECKS, bottleneck_config, "bottleneck")
        channels = {"out_channels": bottleneck.dim}
        encoder: Encoder = build(ENCODERS, encoder_config, "encoder", **channels)
        channels = {"in_channels": bottleneck.code_dim}
        decoder_config = with_class_of(encoder_config, decoder_config)
        decoder: Decoder = build(DECODERS, decoder_config, "decoder", **channels)
        self._set_modules(encoder, bottleneck, decoder)

    @classmethod
    def from_modules(
        cls,
        encoder: Encoder,
        bottleneck: Bottleneck,
        decoder: Decoder,
        *,
        latents_mean: ChannelValues | None = None,
        latents_std: ChannelValues | None = None,
        scaling_factor: float | None = None,
        shift_factor: float | None = None,
        latent_patch_size: int = 1,
    ) -> "VisualTokenizer":
        """Put a tokenizer together from finished modules, which it takes over with their weights.

        It can be saved if the classes of all modules, and of the bottlenecks inside them, are
        registered kinds whose arguments were plain values.

        Args:
            encoder: its `out_channels` are the bottleneck's `dim`.
            bottleneck: a quantizer or a continuous bottleneck.
            decoder: its `in_channels` are the bottleneck's `code_dim`.
            latents_mean: as for the constructor, like all others.
            latents_std: standard deviation of every latent channel.
            scaling_factor: one factor for all channels.
            shift_factor: one shift for all channels.
            latent_patch_size: side of the squares that `normalize` packs into channels.

        Raises:
            ValueError: a module of another family, or modules that do not fit each other.
        """
        parts = {"encoder": encoder, "bottleneck": bottleneck, "decoder": decoder}
        check_modules(parts)
        configs, undescribed = configs_of(parts)
        tokenizer = cls.__new__(cls)
        StrictModel.__init__(tokenizer)
        tokenizer.register_to_config(
            **configs,
            latents_mean=latents_mean,
            latents_std=latents_std,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            latent_patch_size=latent_patch_size,
        )
        tokenizer._undescribed = tuple(undescribed)
        tokenizer._set_modules(encoder, bottleneck, decoder)
        return tokenizer

    @classmethod
    def from_diffusers(cls, model: Any) -> "VisualTokenizer":
        """Make a tokenizer of an autoencoder of diffusers, with which it shares its weights.

        Latents are those of the model's own posterior, unscaled; `normalize` gives those that its
        pipelines feed to a diffusion model. A model with a codebook becomes a discrete tokenizer.

        Args:
            model: AutoencoderKL, AutoencoderKLWan, VQModel or another autoencoder of images or
                clips.

        Raises:
            ValueError: a class that cannot be a tokenizer, with the reason.
        """
        description = describe(model)
        with init_empty_weights(include_buffers=False):
            tokenizer = cls(**description.configs)
        tokenizer.load_state_dict(description.weights_for(tokenizer.state_dict()), assign=True)
        tokenizer.register_to_config(**tokenizer.encoder.latent_scale.to_config())
        return tokenizer.train(model.training)

    def _set_modules(self, encoder: Encoder, bottleneck: Bottleneck, decoder: Decoder) -> None:
        """Set the modules, the bottleneck first, and check that they fit each other."""
        self.bottleneck, self.encoder, self.decoder = bottleneck, encoder, decoder
        self.latent_scale.check(self.bottleneck.code_dim)
        check_linear_layers(encoder, decoder)
        for axis in ("temporal_compression", "spatial_compression", "first_frames", "frame_step"):
            # Networks without a step of their own take clips of every compressed length.
            ours, theirs = (
                getattr(network, axis) or network.temporal_compression
                for network in (self.encoder, self.decoder)
            )
            if ours != theirs:
                raise ValueError(
                    f"encoder and decoder must have the same {axis}, got {ours} and {theirs}"
                )

    def extra_repr(self) -> str:
        """Describe the compression for `repr`."""
        side = self.spatial_compression
        return f"compression={self.temporal_compression}x{side}x{side}, paths={self.paths}"

    # ---- properties -----------------------------------------------------------------------------

    @property
    def spatial_compression(self) -> int:
        """Number of pixels per latent position along height and width."""
        return self.encoder.spatial_compression

    @property
    def temporal_compression(self) -> int:
        """Number of frames per latent frame, after the first."""
        return self.encoder.temporal_compression

    @property
    def is_discrete(self) -> bool:
        """True if encodings have tokens."""
        return isinstance(self.bottleneck, Quantizer)

    @property
    def paths(self) -> tuple[PathName, ...]:
        """The paths to the decoder: "discrete", "continuous", or both (`dual_path.py`)."""
        return tuple(paths_of(self.bottleneck))

    @property
    def quantizer(self) -> Quantizer:
        """The discrete bottleneck; raises for continuous tokenizers."""
        if not isinstance(self.bottleneck, Quantizer):
            raise ValueError("this tokenizer is continuous: it has latents but no tokens")
        return self.bottleneck

    @property
    def codebook_size(self) -> int:
        """Number of codes per group; of the largest group where they differ."""
        return self.quantizer.codebook_size

    @property
    def num_groups(self) -> int:
        """Number of indices per position."""
        return self.quantizer.num_groups

    @property
    def vocab_size(self) -> int:
        """Number of codes in all groups, the vocabulary of `flat_tokens(offset=True)`."""
        return sum(self.quantizer.group_sizes)

    def bits_per_pixel(
        self, layout: Layout, bits_per_value: int = 16, path: PathName | None = None
    ) -> float:
        """Return the nominal number of bits per unpadded pixel.

        Args:
            layout: of the clips.
            bits_per_value: bits that each value of a continuous latent counts for.
            path: of a dual-path tokenizer: discrete (the default) or continuous.
        """
        layout.check_size()
        bottleneck = self._bottleneck_for(path)
        if isinstance(bottleneck, Quantizer):
            bits = bottleneck.bits
        else:
            bits = bottleneck.code_dim * bits_per_value
        return layout.num_positions * bits / layout.num_pixels

    @property
    def streams(self) -> bool:
        """True if long clips can be encoded and decoded chunk by chunk."""
        whole = sees_whole_clip(self.encoder) or sees_whole_clip(self.decoder)
        return not whole and not self.decoder.injects_noise

    @property
    def size_rule(self) -> SizeRule:
        """The rule for legal sizes of clips."""
        encoder = self.encoder
        return SizeRule(
            encoder.temporal_compression,
            encoder.spatial_compression,
            encoder.first_frames,
            encoder.frame_step,
        )

    @property
    def latent_scale(self) -> LatentScale:
        """Statistics of the latents: those of the config, else those that the encoder came with."""
        scale = LatentScale.from_config(self.config)
        return scale if scale.is_known else self.encoder.latent_scale

    def layout(self, size: Size) -> Layout:
        """Return the layout of a clip of a legal size (T, H, W).

        Raises:
            ValueError: the size is not legal; names the nearest ones.
        """
        return self.size_rule.layout(size)

    def _bottleneck_for(self, path: PathName | Literal["both"] | None) -> Bottleneck:
        """Return the bottleneck of a path, of the default one for None."""
        paths = paths_of(self.bottleneck)
        path = path or next(iter(paths))
        if path not in paths:
            raise ValueError(f"path must be {' or '.join(paths)} for this tokenizer, got {path!r}")
        return paths[path]

    # ---- encode ---------------------------------------------------------------------------------

    def encode(self, pixels: Given, pad: str | None = None, tile: int | None = None) -> Encoding:
        """Encode clips deterministically; continuous latents are the mode of the posterior.

        Args:
            pixels: (B, 3, T, H, W) in [-1, 1]; an image has T = 1.
            pad: None refuses illegal sizes, "replicate" extends them at the end of each axis.
            tile: side in pixels of the tiles that large frames are cut into; see `tiling.py`.

        Raises:
            TypeError: an image, array or path; `load_image` and `load_video` make pixels of them.
            ValueError: the wrong shape, dtype or range (resampling filters may overshoot [-1, 1]),
                or an illegal size without padding.
        """
        check_pixels(pixels)
        check_pixel_range(pixels)
        pixels, size = self.size_rule.fit(pixels, pad)
        return self._encoding(self._encoder(tile)(pixels), size)

    def encode_images(self, images: Given, pad: str | None = None) -> Encoding:
        """Encode images (B, 3, H, W) in [-1, 1]; see `encode`."""
        check_images(images)
        return self.encode(images.unsqueeze(2), pad)

    def encode_stream(
        self, chunks: Iterable[Tensor], tile: int | None = None
    ) -> Iterator[Encoding]:
        """Encode one long clip chunk by chunk.

        Under `torch.inference_mode()` memory does not grow with the clip's length; with gradients,
        which flow through the chunks, it does.

        Args:
            chunks: (B, 3, T, H, W), the first of T = 1 + n*f frames, the others of n*f, where f is
                the temporal compression.
            tile: as in `encode`.

        Yields:
            One encoding per chunk; their grids, concatenated on t, equal the one-shot result.

        Raises:
            ValueError: the wrong shape, dtype or range, an illegal size, another batch, height or
                width than the first chunk's, or a second chunk where the encoder needs whole clips.
        """
        check_chunks(chunks)
        encoder = self._encoder(tile)

        def encode(chunk: Tensor, state: StreamState) -> Encoding:
            check_streamable(self.encoder, state)
            T, H, W = chunk.shape[2:]
            return self._encoding(encoder(chunk, state), (T, H, W))

        return encode_chunks(chunks, encode, self.size_rule)

    def _encoding(self, moments: Tensor, size: Size) -> Encoding:
        """Return the encoding of the bottleneck in eval mode: no samples, losses or updates."""
        with eval_mode(self.bottleneck):
            return self._quantize(moments, size, self.bottleneck)[0]

    def _quantize(
        self, moments: Tensor, size: Size, bottleneck: Bottleneck
    ) -> tuple[Encoding, Quantized]:
        """Return encoding and result of a bottleneck in its current mode."""
        vectors = moments.movedim(1, -1)
        if isinstance(bottleneck, KLRegularized):
            quantized = bottleneck(vectors, pixel_values=PIXEL_CHANNELS * prod(size))
        else:
            quantized = bottleneck(vectors)
        posterior = _posterior(bottleneck, vectors)
        latents = moments if posterior is None else posterior.mode().to(moments.dtype)
        encoding = Encoding(
            latents=(latents,),
            codes=(quantized.codes.movedim(-1, 1),),
            indices=None if quantized.indices is None else (quantized.indices,),
            posterior=posterior_of([posterior]),
            layout=Layout((_grid(latents),), size),
            group_sizes=bottleneck.group_sizes if isinstance(bottleneck, Quantizer) else (),
        )
        return encoding, quantized

    # ---- decode ---------------------------------------------------------------------------------

    def decode(
        self, codes: Decodable, layout: Layout | None = None, **options: Unpack[DecodeOptions]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode codes to unclamped pixels.

        Args:
            codes: an encoding; or its codes (B, C', t, h, w), or a tuple with one such grid.
            layout: of the encoding; if given, its padding is cropped away. An encoding brings its
                own.
            options: noise, generator, temperature, num_samples, timestep, tile; see
                `DecodeOptions`.

        Raises:
            TypeError: neither an encoding nor a tensor.
            ValueError: codes of the wrong shape or dtype, or that are not finite; or a layout of
                other codes.
        """
        if isinstance(codes, Encoding):
            codes, layout = codes.codes, layout or codes.layout
        grid = only_grid(codes)
        check_codes(grid, self.bottleneck.code_dim)
        if layout is not None and check_layout(layout, self.size_rule) != _grid(grid):
            raise ValueError(f"codes of grid {_grid(grid)} do not belong to {layout}")
        decoder, inputs = self._decoder(options.get("tile")), DecoderInputs(self.decoder, options)
        grid, conditions = inputs.next(grid)
        inputs.source.check_used_up()
        return _crop(decoder(grid, None, conditions), layout)

    def decode_latents(
        self, latents: Decodable, layout: Layout | None = None, **options: Unpack[DecodeOptions]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode an encoding's continuous latents (B, C, t, h, w), unscaled; see `decode`."""
        self._check_continuous("decode or decode_tokens")
        if isinstance(latents, Encoding):
            latents, layout = latents.latents, layout or latents.layout
        return self.decode(latents, layout, **options)

    def decode_tokens(
        self, tokens: Given, layout: Layout, **options: Unpack[DecodeOptions]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode int64 token sequences (B, L), without group offsets, of the given layout.

        Raises:
            ValueError: tokens of the wrong length for the layout, or that are not integers; an
                index outside its codebook; or a size that does not have the layout's grid.
        """
        grid = check_layout(layout, self.size_rule)
        check_tokens(tokens, layout.num_positions * self.num_groups, layout)
        indices = tokens.long().view(-1, *grid, self.num_groups)
        codes = self.quantizer.indices_to_codes(indices).to(self.dtype).movedim(-1, 1)
        return self.decode(codes, layout, **options)

    def decode_images(
        self, codes: Decodable, layout: Layout | None = None, **options: Unpack[DecodeOptions]
    ) -> Float[Tensor, "B 3 H W"]:
        """Decode an encoding or codes of images, without the time axis; see `decode`."""
        if isinstance(codes, Encoding):
            codes, layout = codes.codes, layout or codes.layout
        grid = only_grid(codes)
        check_codes(grid, self.bottleneck.code_dim)
        if grid.shape[2] != 1:
            raise ValueError(
                f"decode_images takes codes of one frame, got a grid of {_grid(grid)}; "
                "use decode for clips"
            )
        return self.decode(grid, layout, **options)[:, :, 0]

    def decode_stream(
        self, codes: Iterable[Decodable], **options: Unpack[DecodeOptions]
    ) -> Iterator[Float[Tensor, "B 3 T H W"]]:
        """Decode the encodings or codes of one long clip chunk by chunk.

        Memory is as in `encode_stream`.

        The frames together equal the one-shot result. A decoder that looks ahead yields late: its
        pieces do not match the chunks, but the total number of frames is the same.

        Raises:
            ValueError: codes of the wrong shape or dtype, or that are not finite; another batch,
                height or width than the first chunk's; or a second chunk where the decoder needs
                whole clips (injected noise, or norms over whole clips).
        """
        frames = FrameSize()
        decoder, inputs = self._decoder(options.get("tile")), DecoderInputs(self.decoder, options)

        def decode(chunk: Decodable, state: StreamState) -> Tensor:
            check_streamable(self.decoder, state)
            grid = only_grid(chunk.codes if isinstance(chunk, Encoding) else chunk)
            check_codes(grid, self.bottleneck.code_dim)
            frames.check(grid)
            codes, conditions = inputs.next(grid)
            return decoder(codes, state, conditions)

        yield from decode_chunks(codes, decode, looks_ahead=not self.decoder.causal)
        inputs.source.check_used_up()

    def decode_latents_stream(
        self, latents: Iterable[Decodable], **options: Unpack[DecodeOptions]
    ) -> Iterator[Float[Tensor, "B 3 T H W"]]:
        """Decode encodings' continuous latents chunk by chunk; see `decode_stream`."""
        self._check_continuous("decode_stream")
        grids = (one.latents if isinstance(one, Encoding) else one for one in latents)
        return self.decode_stream(grids, **options)

    def _check_continuous(self, instead: str) -> None:
        if "continuous" not in self.paths:
            raise ValueError(
                f"this tokenizer is discrete and has no continuous path; use {instead}"
            )

    def _encoder(self, tile: int | None) -> Encoder | TiledEncoder:
        return self.encoder if tile is None else TiledEncoder(self.encoder, tile)

    def _decoder(self, tile: int | None) -> Decoder | TiledDecoder:
        return self.decoder if tile is None else TiledDecoder(self.decoder, tile)

    # ---- encode and decode ----------------------------------------------------------------------

    def forward(
        self,
        pixels: Given,
        path: PathName | Literal["both"] | None = None,
        **options: Unpack[ForwardOptions],
    ) -> Output:
        """Reconstruct clips differentiably: the training call, which DDP and FSDP wrap.

        Latents that are not finite give pixels that are NaN, instead of the error of `encode`.

        Args:
            pixels: (B, 3, T, H, W) in [-1, 1], of a legal size.
            path: of a dual-path tokenizer: discrete (the default), continuous, or both, decoded
                from one pass of the encoder. A path that is not taken receives no gradient.
            options: noise, generator, temperature, timestep; see `ForwardOptions`.
        """
        check_pixels(pixels)
        pixels, size = self.size_rule.fit(pixels)
        moments = self.encoder(pixels)
        if len(self.paths) == 1:
            return self._forward_on(path, moments, size, options)
        names = self.paths if path == "both" else (path or self.paths[0],)
        return joined({name: self._forward_on(name, moments, size, options) for name in names})

    def _forward_on(
        self,
        path: PathName | Literal["both"] | None,
        moments: Tensor,
        size: Size,
        options: ForwardOptions,
    ) -> Output:
        """Decode the encoder's output on one path."""
        # A training run must get through the step on all ranks before it decides about it.
        finite = moments.isfinite().all()
        moments = torch.nan_to_num(moments, nan=0.0, posinf=0.0, neginf=0.0)
        encoding, quantized = self._quantize(moments, size, self._bottleneck_for(path))
        codes = tuple(code.where(finite, torch.nan) for code in encoding.codes)
        encoding = replace(encoding, codes=codes)
        given = options.get("noise") is not None or options.get("generator") is not None
        inputs: DecodeOptions = {**options}
        if self.training and self.decoder.generative and not given:
            inputs["noise"] = torch.randn_like(encoding.code)
        codes, conditions = DecoderInputs(self.decoder, inputs).next(encoding.code)
        decoded = self.decoder(codes, None, conditions)
        return Output(decoded, encoding, quantized.loss, quantized.terms)

    @torch.no_grad()
    def reconstruct(
        self, pixels: Given, path: PathName | None = None, **options: Unpack[DecodeOptions]
    ) -> Float[Tensor, "B 3 T H W"]:
        """Encode and decode clips of any size; clamped to [-1, 1], without gradient.

        Args:
            pixels: (B, 3, T, H, W) in [-1, 1].
            path: of a dual-path tokenizer: discrete (the default) or continuous.
            options: noise, generator, temperature, num_samples, timestep, tile; see
                `DecodeOptions`.
        """
        encoding = self.encode(pixels, pad="replicate", tile=options.get("tile"))
        discrete = isinstance(self._bottleneck_for(path), Quantizer)
        grids = encoding.codes if discrete else encoding.latents
        return self.decode(grids, encoding.layout, **options).clamp(-1, 1)

    def normalize(self, latents: Tensor) -> Tensor:
        """Scale latents (B, C, ...) for a diffusion model; see `latent_scale.py`."""
        return self.latent_scale.normalize(latents)

    def unnormalize(self, latents: Tensor) -> Tensor:
        """Undo `normalize`, exact up to rounding."""
        return self.latent_scale.unnormalize(latents)

    def as_diffusers(self) -> "DiffusersAdapter":
        """Wrap the tokenizer for diffusers' pipelines; needs a continuous path."""
        # Imported here because it loads diffusers' autoencoders, which takes a second or two. The
        # adapter only knows a protocol of this class: importing it back would close a circle.
        from .diffusers_adapter import DiffusersAdapter

        if "continuous" not in self.paths:
            raise ValueError("as_diffusers needs a continuous tokenizer: pipelines expect latents")
        tokenizer: Any = self  # types of diffusers' models do not fit any protocol
        return DiffusersAdapter(tokenizer)

    def enable_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        """Recompute activations in the backward pass, to save memory.

        Raises:
            ValueError: a network that cannot do so, or whose results would change.
        """
        for name, network in (("encoder", self.encoder), ("decoder", self.decoder)):
            if not network.checkpoints:
                raise ValueError(
                    f"gradient checkpointing is not supported by the {name}, {network.label}; set "
                    "train.gradient_checkpointing=false"
                )
        super().enable_gradient_checkpointing(*args, **kwargs)

    # ---- files ----------------------------------------------------------------------------------

    def save_pretrained(
        self, save_directory: Any, is_main_process: bool = True, *args: Any, **kwargs: Any
    ) -> None:
        """Save config, safetensors weights, their checksums and a model card in a folder.

        Raises:
            ValueError: the tokenizer was put together from modules that no config describes.
        """
        if self._undescribed:
            raise ValueError(
                "this tokenizer cannot be saved, only its state_dict can: "
                + "; ".join(self._undescribed)
            )
        if kinds := modules_of_kinds(self):
            self.register_to_config(**{REGISTERED_BY: kinds})
        self.register_to_config(**self.latent_scale.to_config())
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        if not is_main_process:
            return
        card = card_text(
            rule=self.size_rule,
            bottleneck=self.bottleneck,
            parameters=sum(parameter.numel() for parameter in self.parameters()),
            scale=self.latent_scale,
        )
        write_card(save_directory, card)


def _posterior(bottleneck: Bottleneck, vectors: Tensor) -> Gaussian | None:
    """Return the posterior with channels on axis 1, or None for a bottleneck without one."""
    continuous = continuous_part(bottleneck)
    if continuous is None:
        return None
    # Like the bottleneck itself, its posterior is computed in fp32 at least.
    wide = torch.promote_types(vectors.dtype, torch.float32)
    posterior = continuous.posterior(vectors.to(wide))
    logvar = None if posterior.logvar is None else posterior.logvar.movedim(-1, 1)
    return Gaussian(posterior.mean.movedim(-1, 1), logvar)


def _grid(latents: Tensor) -> Size:
    t, h, w = latents.shape[2:]
    return t, h, w


def _crop(pixels: Tensor, layout: Layout | None) -> Tensor:
    if layout is None:
        return pixels
    T, H, W = layout.size
    return pixels[:, :, :T, :H, :W]
