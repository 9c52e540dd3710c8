"""The extra `gdrive`: DVC finds it, and a service account signs in, which breaks when its versions drift
apart."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class _Google(BaseHTTPRequestHandler):
    """Where tokens are asked for; it has none."""

    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        type(self).asked.append(parse_qs(body)["assertion"][0])
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"error": "invalid_grant", "error_description": "no such account"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        pass


@pytest.fixture
def google() -> Iterator[str]:
    _Google.asked = []
    with HTTPServer(("127.0.0.1", 0), _Google) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


def test_dvc_has_google_drive_and_a_service_account_signs_what_google_can_verify(
    tmp_path: Path, google: str
) -> None:
    from dvc.fs import get_fs_cls

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "client_email": "lsloop@project.iam.gserviceaccount.com", "client_id": "1",
        "private_key_id": "k", "private_key": private.decode(), "token_uri": google,
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))
    settings = {"url": "gdrive://folder/data", "gdrive_use_service_account": True}
    drive = get_fs_cls(settings)(
        **settings, gdrive_service_account_json_file_path=str(tmp_path / "account.json")
    )
    with pytest.raises(Exception, match="no such account"):
        drive.fs.ls("folder/data")
    head, claims, signature = _Google.asked[0].split(".")
    key.public_key().verify(
        _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert json.loads(_decoded(claims))["iss"] == account["client_email"]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
