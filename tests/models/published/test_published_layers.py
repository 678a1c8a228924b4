"""Laws of the layers that published families bring: streams, conditions, noise."""

import pytest
import torch

from tiny import awaken
from vistok.models.blocks.block_config import DecoderBlockConfig
from vistok.models.blocks.conditions import Conditions
from vistok.models.blocks.noise_injection import NoiseInjection
from vistok.models.blocks.stage import Stage
from vistok.models.blocks.stage_blocks import StageBlocks
from vistok.models.blocks.stream_state import StreamState
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.first_frame import FirstFrameDecoder, FirstFrameEncoder
from vistok.models.published.ltx import ltx_090_options, ltx_095_options
from vistok.models.published.wan import wan_options
from vistok.models.published.wetok import wetok_options

LONG = 20  # latents; more than twice what any of these networks looks ahead
EXACT = {"atol": 1e-12, "rtol": 0}  # float64
LTX_090 = ltx_090_options((4, 8, 8, 8), (1, 1, 1, 1, 1), (1, 1, 1, 1, 1))
LTX_095 = ltx_095_options((4, 8, 16, 16, 16), (1, 1, 1, 1, 1), (32, 16, 8, 4), (1, 1, 1, 1))
WAN = wan_options(8, (1, 2, 2), (True, True), blocks=1)
TEMPORAL = (
    {
        "stages": [
            {
                "width": 8,
                "blocks": 2,
                "temporal_kernel": 3,
                "attention": "temporal",
                "attention_window": 3,
                "resample": "strided",
                "time": 2,
            }
        ]
    },
    {
        "stages": [
            {
                "width": 8,
                "blocks": 2,
                "attention": "temporal",
                "attention_window": 2,
                "resample": "nearest",
                "time": 2,
            }
        ]
    },
)
NETWORKS = {"ltx 0.9.0": LTX_090, "ltx 0.9.5": LTX_095, "wan": WAN, "temporal attention": TEMPORAL}


def build(options, latent_channels: int = 4) -> tuple[CausalEncoder, CausalDecoder]:
    torch.manual_seed(0)
    encoder, decoder = ({**o, "stages": [Stage(**s) for s in o["stages"]]} for o in options)
    return (
        awaken(CausalEncoder(**encoder, out_channels=latent_channels)).double().eval(),
        awaken(CausalDecoder(**decoder, in_channels=latent_channels)).double().eval(),
    )


@pytest.fixture(params=NETWORKS, scope="module")
def network(request):
    return build(NETWORKS[request.param])


def conditions(decoder: CausalDecoder) -> Conditions:
    return Conditions(timestep=torch.tensor([0.05]).double()) if decoder.denoises else Conditions()


def size(encoder: CausalEncoder) -> tuple[int, int]:
    return 2 * encoder.spatial_compression, 3 * encoder.spatial_compression


def test_streamed_encoding_equals_one_shot(network):
    encoder, _ = network
    f = encoder.temporal_compression
    x = torch.randn(1, 3, 1 + 4 * f, *size(encoder), dtype=torch.double)
    state = StreamState()
    chunks = x.split([1, f, 3 * f], dim=2)
    streamed = torch.cat([encoder(chunk, state) for chunk in chunks], dim=2)
    torch.testing.assert_close(streamed, encoder(x), **EXACT)


@pytest.mark.parametrize("chunk", [1, 2, 5, LONG])
def test_streamed_decoding_equals_one_shot_even_with_look_ahead(network, chunk):
    _, decoder = network
    z = torch.randn(1, 4, LONG, 2, 3, dtype=torch.double)
    state, pieces = StreamState(), []
    chunks = z.split(chunk, dim=2)
    for index, part in enumerate(chunks):
        state.last_chunk = index == len(chunks) - 1
        pieces.append(decoder(part, state, conditions(decoder)))
    whole = decoder(z, None, conditions(decoder))
    assert whole.shape[2] == 1 + (LONG - 1) * decoder.temporal_compression
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, **EXACT)
    if decoder.causal and chunk == 1:
        assert pieces[0].shape[2] == 1, "a causal decoder answers at once"


def test_a_stream_remembers_the_same_amount_however_long_it_gets(network):
    _, decoder = network
    state = StreamState()
    sizes = []
    for _ in range(2 * LONG):
        decoder(torch.randn(1, 4, 1, 2, 3, dtype=torch.double), state, conditions(decoder))
        sizes.append(sum(kept.numel() for kept in state._kept.values()))
    assert sizes[-1] == sizes[-2] == sizes[LONG]


def test_an_image_is_the_first_frame_for_every_causal_half(network):
    encoder, decoder = network
    x = torch.randn(1, 3, 1 + encoder.temporal_compression, *size(encoder), dtype=torch.double)
    torch.testing.assert_close(encoder(x[:, :, :1]), encoder(x)[:, :, :1], **EXACT)
    if decoder.causal:
        z = torch.randn(1, 4, 3, 2, 3, dtype=torch.double)
        torch.testing.assert_close(decoder(z[:, :, :1]), decoder(z)[:, :, :1], **EXACT)


def test_first_frame_nets_stream_and_take_images():
    encoder, decoder = build(wan_options(8, (1, 2, 2), (True, True), blocks=1))
    first_encoder = FirstFrameEncoder(encoder)
    first_decoder = awaken(FirstFrameDecoder(decoder, 4)).double()
    x = torch.randn(1, 3, 9, 16, 24, dtype=torch.double)
    first, rest = first_encoder(x)
    assert first.shape[3:] == (8, 12)
    assert rest.shape[2:] == (2, 4, 6)
    state = StreamState()
    chunks = [first_encoder(chunk, state) for chunk in x.split([1, 4, 4], dim=2)]
    assert [len(grids) for grids in chunks] == [1, 1, 1]
    torch.testing.assert_close(chunks[0][0], first, **EXACT)
    torch.testing.assert_close(torch.cat([g[0] for g in chunks[1:]], dim=2), rest, **EXACT)
    whole = first_decoder((first, rest))
    assert whole.shape == x.shape
    state = StreamState()
    parts = [first_decoder((first,), state)]
    parts += [first_decoder((frame,), state) for frame in rest.split(1, dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, **EXACT)


def test_a_timestep_changes_the_answer_and_is_asked_for():
    _, decoder = build(LTX_095)
    z = torch.randn(2, 4, 2, 2, 2, dtype=torch.double)
    low = decoder(z, None, Conditions(timestep=torch.tensor([0.0, 0.0]).double()))
    mixed = decoder(z, None, Conditions(timestep=torch.tensor([0.0, 0.2]).double()))
    torch.testing.assert_close(low[:1], mixed[:1], **EXACT)
    assert not torch.allclose(low[1:], mixed[1:])
    with pytest.raises(ValueError, match=r"give a timestep in \[0, 1\]"):
        decoder(z)
    _, plain = build(LTX_090)
    with pytest.raises(ValueError, match="takes no timestep"):
        plain(z, None, Conditions(timestep=torch.zeros(2).double()))


def test_adaptive_norm_follows_the_latents_and_needs_two_positions():
    _, decoder = build(wetok_options(32, (1, 2), blocks=1))
    z = torch.randn(1, 4, 1, 2, 3, dtype=torch.double)
    driven = decoder(z, None, Conditions(latents=2 * z))
    assert not torch.allclose(driven, decoder(z))
    with pytest.raises(ValueError, match="at least 2 positions"):
        decoder(z[..., :1, :1])


def test_injected_noise_follows_its_generator():
    noise = NoiseInjection(4)
    torch.nn.init.ones_(noise.scale)
    x = torch.zeros(2, 4, 3, 5, 6)

    def draw(seed: int) -> torch.Tensor:
        return noise(x, Conditions(generator=torch.Generator().manual_seed(seed)))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(draw(1)[0, 0, 0], draw(1)[1, 3, 2]), "one plane for all"


def test_noisy_stages_start_without_effect():
    stage = {"width": 8, "blocks": 1, "noise": True}
    _, decoder = build(({"stages": [{"width": 8}]}, {"stages": [stage]}))
    for block in decoder.modules():
        if isinstance(block, NoiseInjection):
            torch.nn.init.zeros_(block.scale)
    z = torch.randn(1, 4, 1, 4, 4, dtype=torch.double)
    assert torch.equal(decoder(z), decoder(z))


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_other_spatial_paddings_match_torch(padding):
    from vistok.models.blocks.causal_conv import CausalConv3d

    conv = CausalConv3d(2, 3, config=DecoderBlockConfig(spatial_padding=padding)).double()
    reference = torch.nn.Conv3d(2, 3, 3, padding=(0, 1, 1), padding_mode=padding).double()
    reference.load_state_dict(conv.state_dict())
    x = torch.randn(1, 2, 4, 5, 6, dtype=torch.double)
    front = x[:, :, :1].expand(-1, -1, 2, -1, -1)
    torch.testing.assert_close(conv(x), reference(torch.cat([front, x], dim=2)), **EXACT)
    torch.testing.assert_close(conv(x[:, :, :1]), conv(x)[:, :, :1], **EXACT)


def test_checkpointing_gives_the_same_gradients():
    encoder, _ = build(WAN)
    x = torch.randn(1, 3, 5, 8, 8, dtype=torch.double)

    def gradients() -> list[torch.Tensor]:
        encoder.zero_grad()
        encoder(x).square().sum().backward()
        found = [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
        assert len(found) == len(list(encoder.parameters()))
        return found

    plain = gradients()
    for stage in encoder.stages:
        assert isinstance(stage, StageBlocks)
        stage.gradient_checkpointing = True
    for a, b in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="are options of decoder stages only"):
        CausalEncoder([Stage(8, noise=True)], 4)
    with pytest.raises(ValueError, match="split resampling halves space"):
        CausalEncoder([Stage(8, resample="split", space=4)], 4)
    with pytest.raises(ValueError, match="one flag per downsampling, 2, got 1"):
        wan_options(8, (1, 2, 2), (True,))
