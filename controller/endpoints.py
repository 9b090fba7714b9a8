"""What is known of OPC UA endpoints without any OPC UA library: security policies, and who can reach a host."""

from __future__ import annotations

import ipaddress

POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
"""Security policies that a station offers, each with SignAndEncrypt only."""


def is_loopback(host: str) -> bool:
    """This name or address is this computer's own, seen from inside."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
