"""The real nginx on the file that is deployed, with ports and paths of this machine."""

import datetime
import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.deploy.files import DEPLOY, DOMAIN

_AROUND = """
daemon off;
{user}worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include upstreams.conf;
    include tracker.conf;
}}
"""


def program() -> str:
    """Where nginx is; skips the test without it."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not found:
        pytest.skip("nginx is not installed")
    return found


def lay_out(folder: Path, *, web: int, live: int, plain: int, tls: int) -> None:
    """Write the configuration into a folder: only ports, and where the certificate is, differ."""
    certificate(folder)
    upstreams = (DEPLOY / "nginx" / "upstreams.conf").read_text()
    upstreams = upstreams.replace(":8000;", f":{web};").replace(":8020;", f":{live};")
    (folder / "upstreams.conf").write_text(upstreams)
    text = (DEPLOY / "nginx" / "tracker.conf").read_text()
    if not _has_ipv6():
        text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = text.replace("[::]:80", f"[::1]:{plain}").replace("[::]:443", f"[::1]:{tls}")
    for old, new in (
        ("listen 80", f"listen 127.0.0.1:{plain}"), ("listen 443", f"listen 127.0.0.1:{tls}"),
        (f"/etc/letsencrypt/live/{DOMAIN}", str(folder)), ("/var/www/acme", str(folder / "acme")),
        ("/var/log/nginx", str(folder)),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (folder / "tracker.conf").write_text(text)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(user=user))


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 9)) != errno.EADDRNOTAVAIL


@contextmanager
def running(folder: Path, **ports: int) -> Iterator["subprocess.Popen[bytes]"]:
    """nginx in the foreground; it is stopped at the end of the block."""
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    lay_out(folder, **ports)
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def certificate(folder: Path) -> None:
    """fullchain.pem and privkey.pem for our test domain and this machine, signed by themselves."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [
        x509.DNSName(DOMAIN), x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")),
    ]  # fmt: skip
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(private)
    (folder / "privkey.pem").chmod(0o600)
