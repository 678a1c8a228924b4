"""The page itself: an image or clip goes in, reconstructions come out side by side.

It needs gradio (the extra `app`), which only this module imports. Nothing leaves the machine:
gradio's analytics and share links are off, its fonts are the system's, and the browser is told to
load nothing from elsewhere.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..data.codecs.image import read_image, to_pil
from ..data.codecs.video import read_clip
from ..data.resize import pillow_center_crop
from ..data.sources.bundled import SAMPLES, bundled_files
from ..eval.reconstructors.reconstructor import Reconstructor
from .choices import Choices
from .clip import Limits, open_clip
from .comparison import Comparison, compare
from .view import view

THUMBNAIL_SIDE = 96
MAX_UPLOAD = "256mb"
FIRST_PORT = 7860

# Gradio's own styles and scripts are inline, and its images are data or blobs.
POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"

INTRODUCTION = """# vistok
Drop an image or a clip, or pick an example, and see what tokenizers and codecs make of it."""


def serve(
    reconstructors: Sequence[Reconstructor],
    *,
    host: str,
    port: int | None,
    limits: Limits,
    on_start: Callable[[str], None],
) -> None:
    """Serve the page until interrupted.

    Args:
        reconstructors: tokenizers and codecs to offer, under unique names.
        host: address to listen on.
        port: port to listen on; None takes the first free one from 7860 on.
        limits: limits of what is compared.
        on_start: called with the address of the page once it answers.

    Raises:
        ModuleNotFoundError: gradio is not installed.
        ValueError: a reconstructor that cannot take any image, or a port that is in use.
    """
    choices = Choices(reconstructors)
    # Uploads and examples are copied there, and removed with it.
    with tempfile.TemporaryDirectory(prefix="vistok-app-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        blocks = build_page(choices, limits)
        url = launch(blocks, host, port)
        try:
            on_start(url)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            blocks.close(verbose=False)


def import_gradio() -> Any:
    """Import gradio with its analytics switched off, which must happen before.

    Raises:
        ModuleNotFoundError: gradio is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"vistok app needs gradio ({error}); install vistok with the extra [app], or: "
            "pip install 'gradio>=6.31'"
        ) from error
    return gradio


def build_page(choices: Choices, limits: Limits) -> Any:
    """Build the page, a gradio `Blocks` that is not served yet."""
    gr = import_gradio()
    samples = bundled_files("samples:all")[1]
    with gr.Blocks(title="vistok", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown(INTRODUCTION)
        comparison = gr.State(None)
        file, names = _inputs(gr, choices)
        examples = _examples(gr, samples)
        frame = gr.Slider(1, 2, step=1, value=1, label="Frame", visible=False, elem_id="frame")
        results = gr.HTML(elem_id="results", apply_default_css=False)

        def pick(event: gr.SelectData) -> str:  # pyright: ignore[reportInvalidTypeForm]
            return str(samples[event.index])

        def run(path: str | None, chosen: list[str], progress=gr.Progress()):  # noqa: B008
            return _run(gr, choices, limits, path, chosen, progress)

        def show(found: Comparison | None, number: int) -> str:
            return "" if found is None else view(found, int(number) - 1)

        examples.select(pick, None, file, show_progress="hidden")
        changed = {"inputs": [file, names], "outputs": [comparison, frame, results]}
        file.change(run, **changed, trigger_mode="always_last", concurrency_id="compare")
        names.change(run, **changed, trigger_mode="always_last", concurrency_id="compare")
        frame.input(
            show, [comparison, frame], results, trigger_mode="always_last", show_progress="hidden"
        )
    return blocks


def _inputs(gr: Any, choices: Choices) -> tuple[Any, Any]:
    """Lay out the file and the choice of tokenizers and codecs, side by side on wide screens."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(
                label="Image or clip", file_types=["image", "video"], height=150, elem_id="file"
            )
        with gr.Column(scale=2, min_width=300):
            names = gr.Dropdown(
                list(choices.names),
                value=list(choices.defaults),
                label="Tokenizers and codecs",
                info="Type any codec setting, such as jpeg:q=30 or bicubic:f=4.",
                multiselect=True,
                allow_custom_value=True,
                elem_id="names",
            )
    return file, names


def _examples(gr: Any, samples: Sequence[Path]) -> Any:
    """Lay out the bundled samples as small squares to click on."""
    return gr.Gallery(
        [_thumbnail(path) for path in samples],
        label="Examples",
        show_label=False,
        columns=11,
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="vt-examples",
    )


def launch(blocks: Any, host: str, port: int | None) -> str:
    """Start to serve a page in the background and return its address.

    Raises:
        ValueError: the port is in use, or the address is not this machine's.
    """
    gr = import_gradio()
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )
    try:
        _, local_url, _ = blocks.queue(default_concurrency_limit=1).launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            allowed_paths=[str(SAMPLES)],
            theme=theme,
            css_paths=Path(__file__).with_name("page.css"),
            app_kwargs={"middleware": [(_OwnFilesOnly, (), {})]},
        )
    except OSError as error:
        raise ValueError(
            f"--host {host} --port {port or FIRST_PORT} cannot be listened on: {error}"
        ) from error
    return local_url


def _run(
    gr: Any, choices: Choices, limits: Limits, path: str | None, chosen: list[str], progress: Any
) -> tuple[Comparison | None, Any, str]:
    """Compare a file under the chosen tokenizers; return the state, the slider and the HTML."""
    if path is None:
        return None, gr.Slider(visible=False), ""
    try:
        reconstructors = choices.open(chosen)
        clip = open_clip(Path(path), limits)
    except (ValueError, OSError) as error:
        raise gr.Error(
            str(error).replace(str(path), Path(path).name), print_exception=False
        ) from error
    started: list[str] = []

    def report(name: str) -> None:
        progress((len(started), len(reconstructors)), desc=name)
        started.append(name)

    comparison = compare(clip, reconstructors, report)
    slider = gr.Slider(
        maximum=max(2, comparison.num_frames), value=1, visible=comparison.num_frames > 1
    )
    return comparison, slider, view(comparison)


def _thumbnail(path: Path) -> Any:
    """Return a small square of an image, or of the first frame of a clip."""
    image = read_image(path) if path.suffix == ".jpg" else to_pil(read_clip(path, 1)[:, 0])
    return pillow_center_crop(image, THUMBNAIL_SIDE)


class _OwnFilesOnly:
    """ASGI middleware that forbids browsers to load anything from other servers."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", POLICY)
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self.app(scope, receive, with_policy)
