"""Checks that `vascx pull` and huggingface_hub share one cache, in both directions.

    python tools/reference/hub.py target/debug/vascx

A small hub on the loopback interface serves one file as the hub serves large ones: a redirect to another
host, which knows ranges. Needs huggingface_hub (tried with 2.4.0). Nothing leaves this machine.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = bytes(i * i >> 7 & 255 for i in range(300_000))
COMMIT = "89abcdef" * 5
REPOSITORY, FILE = "Eyened/vascx", "fovea/fovea_may26.pt"


class Hub(BaseHTTPRequestHandler):
    requests = []

    def answer(self):
        self.requests.append((self.command, self.path))
        if self.path.endswith("/blob"):
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(CONTENT[start:])
        elif self.path == f"/{REPOSITORY}/resolve/main/{FILE}":
            self.send_response(302)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(CONTENT)))
            self.send_header("Location", f"http://localhost:{self.server.server_port}/blob")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


def main():
    vascx = os.path.abspath(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    python = (
        "import sys; from huggingface_hub import hf_hub_download;"
        f"print(hf_hub_download({REPOSITORY!r}, {FILE!r}, local_files_only=len(sys.argv) > 1))"
    )
    theirs = [sys.executable, "-c", python]
    ours = [vascx, "pull", f"{REPOSITORY}:{FILE}"]
    for first, second in ((theirs, ours), (ours, theirs + ["offline"])):
        with tempfile.TemporaryDirectory() as home:
            environment = {**os.environ, "HF_HOME": home, "HF_ENDPOINT": endpoint}
            environment["HF_HUB_DISABLE_XET"] = "1"

            def run(command, **more):
                result = subprocess.run(
                    command, env={**environment, **more}, capture_output=True, text=True, check=True
                )
                return Path(result.stdout.strip())

            downloaded = run(first)
            assert downloaded.read_bytes() == CONTENT
            gets = sum(command == "GET" for command, _ in Hub.requests)
            found = run(second, HF_HUB_OFFLINE="1")
            assert found.resolve() == downloaded.resolve(), (found, downloaded)
            assert found == downloaded, (found, downloaded)
            again = run(second if second is ours else first)
            assert again == downloaded
            assert gets == sum(command == "GET" for command, _ in Hub.requests), Hub.requests
            print(f"{Path(first[0]).name} downloads, {Path(second[0]).name} finds: {found}")


if __name__ == "__main__":
    main()
