"""``check --deploy`` under production settings, as ``make check`` calls it: must be clean."""

import os
import secrets
import subprocess
import sys


def main() -> int:
    environment = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "production",
        "ALLOWED_HOSTS": "api.example.com",
        "DATABASE_URL": "postgresql://tracker:x@db.example.com/tracker?sslmode=require",
        "REDIS_URL": "rediss://cache.example.com/0",
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "TRUSTED_PROXY_COUNT": "1",
        "PUBLIC_URL": "https://api.example.com",
        "EMAIL_PROVIDER": "smtps://tracker:x@mail.example.com",
        "PRIVATE_FILES": "s3://bucket/files",
        "BACKUPS": "s3://vault/backups",
        "EMAIL_FROM": "tracker@example.com",
        "OPERATOR_NAME": "Example Ltd",
        "OPERATOR_ADDRESS": "1 Example Street",
        "OPERATOR_EMAIL": "ops@example.com",
        "OPERATOR_COUNTRY": "Switzerland",
    } | {
        name: secrets.token_hex(32)
        for name in ("SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY")
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
