"""A local HTTP server that answers range requests, as object stores do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class RangedHandler(SimpleHTTPRequestHandler):
    """Serves a folder, whole files and parts of them; the former `pause` seconds after headers."""

    def __init__(self, *arguments: Any, pause: float, **options: Any) -> None:
        self.pause = pause
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if not asked or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, _, last = asked.partition("-")
        part = data[int(first) : int(last or len(data)) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        time.sleep(self.pause)
        super().copyfile(source, outputfile)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(folder: Path, pause: float = 0.0) -> Iterator[str]:
    """The URL under which a folder is served, with a pause before the content of whole files."""
    handler = partial(RangedHandler, directory=str(folder), pause=pause)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
