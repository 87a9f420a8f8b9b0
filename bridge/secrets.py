"""Secrets of the ``[kafka]`` table: read from files or fetched by a command, and never shown.

The table goes to the publisher over a line that only the two of them have; what is named here is looked up
there, by whoever makes a client.
"""

import base64
import binascii
import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstream.bridge.errors import ConfigurationError

FILES = (
    "sasl.password.file",
    "sasl.oauthbearer.client.secret.file",
    "ssl.key.password.file",
    "ssl.keystore.password.file",
)
"""Options of ours: librdkafka's without the last word, from a file."""

TOKEN = "sasl.oauthbearer.token"  # noqa: S105 - a name
TOKEN_FILE, TOKEN_COMMAND = f"{TOKEN}.file", f"{TOKEN}.command"
TOKEN_SECONDS = 300.0  # how long a token is taken to be good that does not say so itself
COMMAND_SECONDS = 30.0
MAX_SECRET_BYTES = 1 << 16

Token = tuple[str, float]


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that librdkafka understands, with what ours stand for.

    Raises
    ------
    ConfigurationError
        If a secret cannot be had; the text names the option and never the secret.
    """
    plain = {key: value for key, value in options.items() if key not in (*FILES, TOKEN_FILE, TOKEN_COMMAND)}
    for key in FILES:
        if key in options:
            plain[key.removesuffix(".file")] = _read(key, options[key])
    if TOKEN_FILE in options or TOKEN_COMMAND in options:
        source = _token_source(options)
        source("")  # what is wrong with it is said now, not by a thread of librdkafka
        plain["oauth_cb"] = source
        plain.setdefault("sasl.mechanism", "OAUTHBEARER")
    return plain


def _token_source(options: Mapping[str, Any]) -> Callable[[str], Token]:
    """Return what librdkafka calls for a token, at first and whenever the last one is about to expire."""
    if TOKEN_FILE in options and TOKEN_COMMAND in options:
        problem = f"give either {TOKEN_COMMAND} or {TOKEN_FILE}"
        raise ConfigurationError(f"kafka.{TOKEN_FILE}", options[TOKEN_FILE], problem)
    if TOKEN_FILE in options:
        return lambda _config: _with_expiry(_read(TOKEN_FILE, options[TOKEN_FILE]))
    given = options[TOKEN_COMMAND]
    words = shlex.split(given) if isinstance(given, str) else list(given)
    return lambda _config: _with_expiry(_output_of(words))


def _read(key: str, path: object) -> str:
    try:
        with Path(str(path)).expanduser().open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        text = raw.decode().strip()
    except OSError as error:
        raise ConfigurationError(f"kafka.{key}", path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"kafka.{key}", path, "is not text") from None
    if not text or len(raw) > MAX_SECRET_BYTES:
        raise ConfigurationError(f"kafka.{key}", path, "is empty or far too large for a secret")
    return text


def _output_of(words: Sequence[str]) -> str:
    """Run a command and return what it prints; its error output is its own business and not ours to repeat."""
    key, shown = f"kafka.{TOKEN_COMMAND}", words[0] if words else ""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
        )
        token = done.stdout[:MAX_SECRET_BYTES].decode().strip()
    except (OSError, IndexError, ValueError) as error:
        raise ConfigurationError(key, shown, f"cannot be run ({type(error).__name__})") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(key, shown, f"did not end within {COMMAND_SECONDS:g} s") from None
    if done.returncode or not token:
        raise ConfigurationError(key, shown, f"printed no token (exit code {done.returncode})")
    return token


def _with_expiry(token: str) -> Token:
    """Return a token and when it expires, in seconds since 1970: its claim ``exp``, if it is a JWT (RFC 7519)."""
    claims = re.fullmatch(r"[\w-]+\.([\w-]+)\.[\w-]*", token)
    try:
        padded = claims[1] + "=" * (-len(claims[1]) % 4) if claims else ""
        return token, float(json.loads(base64.urlsafe_b64decode(padded))["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return token, time.time() + TOKEN_SECONDS
