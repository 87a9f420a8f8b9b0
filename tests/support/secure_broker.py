"""A real broker with TLS, SCRAM and OAUTHBEARER, and access rights: what somebody else's cluster is like."""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from lockstream.kafka.broker import embedded_broker
from lockstream.kafka.broker.ports import LOOPBACK, free_port
from lockstream.kafka.broker.properties import Detour

Right = tuple[str, str, str]  # kind of resource, its name, a * at the end for a prefix, and the operation


@dataclass(frozen=True)
class SecureBroker:
    """Where it is, and whom it trusts.

    Parameters
    ----------
    servers
        For the clients: TLS, with authentication, without rights unless they are given.
    inside
        For the cluster's owner: no encryption, every right.
    authority
        File with the certificate of its authority.
    """

    servers: str
    inside: str
    authority: Path

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.inside})

    def options(self, user: str, password: str) -> dict[str, Any]:
        """The ``[kafka]`` table of a user."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
        }

    def add_user(self, user: str, password: str) -> None:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        added = UserScramCredentialUpsertion(user, info, password.encode())
        admin = self.admin  # kept until it has answered
        admin.alter_user_scram_credentials([added])[user].result(20)

    def allow(self, user: str, rights: Sequence[Right]) -> None:
        """Give a user rights."""
        admin = self.admin
        for done in admin.create_acls([_binding(user, right) for right in rights]).values():
            done.result(20)


@contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Have such a broker inside a ``with`` block."""
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(LOOPBACK)
    trusted, own = folder / "authority.pem", folder / "broker.pem"
    authority.cert_pem.write_to_path(trusted)
    _write_key_store(certificate, own)
    port = free_port()
    with embedded_broker(
        folder / "broker", detour=Detour(port, port, "SASL_SSL"), more=_properties(own)
    ) as info:
        yield SecureBroker(f"{LOOPBACK}:{port}", info.bootstrap_servers, trusted)


def token(user: str, seconds: float = 3600) -> str:
    """An unsecured JWT, as Kafka's own validator for tests takes it."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": user, "iat": now, "exp": now + seconds})
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*coded, ""])


def _properties(key_store: Path) -> dict[str, str]:
    listener = "listener.name.detour"
    modules = "org.apache.kafka.common.security"
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": str(key_store),
        f"{listener}.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        f"{listener}.oauthbearer.sasl.jaas.config": f"{modules}.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _write_key_store(certificate: trustme.LeafCert, path: Path) -> None:
    """Kafka wants the key as PKCS #8."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _binding(user: str, right: Right) -> AclBinding:
    kind, name, operation = right
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    return AclBinding(
        ResourceType[kind],
        name.removesuffix("*") if len(name) > 1 else name,
        pattern if len(name) > 1 else ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )
