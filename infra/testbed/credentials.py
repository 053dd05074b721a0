"""A cluster's certificate authority, the certificates it issues, and kubeconfig files.

They are valid for one cluster that lives hours at most, and go away with its folder.
"""

import base64
import json
import os
from pathlib import Path

from infra.testbed.processes import call

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Issues certificates into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def create(self) -> None:
        """Make the authority, and the key that signs the tokens of service accounts."""
        self.folder.mkdir(parents=True)
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        self._openssl(
            *("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "365"),
            *("-subj", "/CN=headgate-testbed", "-addext", usage),
        )
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "tokens.key")
        self._openssl("ec", "-in", "tokens.key", "-pubout", "-out", "tokens.pub")

    def issue_server(self, name: str, subject: str, names: list[str]) -> None:
        """Issue `name.crt` and `name.key` for a server; the names look like `DNS:localhost` and `IP:127.0.0.1`."""
        self._issue(name, subject, "extendedKeyUsage=serverAuth", f"subjectAltName={','.join(names)}")

    def issue_client(self, name: str, subject: str) -> None:
        """Issue `name.crt` and `name.key` for a client, whose groups and name are the subject's O and CN."""
        self._issue(name, subject, "extendedKeyUsage=clientAuth")

    def write_kubeconfig(self, path: Path, *, server: str, user: str, token: str = "") -> None:
        """Write a kubeconfig with everything in it, for the client certificate of that name or for a token."""
        credentials = (
            {"token": token}
            if token
            else {
                "client-certificate-data": _base64(self.folder / f"{user}.crt"),
                "client-key-data": _base64(self.folder / f"{user}.key"),
            }
        )
        cluster = {"server": server, "certificate-authority-data": _base64(self.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))

    def _issue(self, name: str, subject: str, *extensions: str) -> None:
        written = self.folder / f"{name}.extensions"
        written.write_text("\n".join(["keyUsage=critical,digitalSignature", *extensions, ""]))
        request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        self._openssl("req", "-new", *_NEW_KEY, *request)
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365"),
            *("-set_serial", f"0x{os.urandom(8).hex()}", "-extfile", written.name, "-out", f"{name}.crt"),
        )

    def _openssl(self, *words: str) -> None:
        call(["openssl", *words], cwd=self.folder)


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
