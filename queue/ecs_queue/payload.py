"""A job's payload as text: JSON in one line, and a digest by which equal payloads are known."""

import hashlib
import json
from typing import Any

DIGEST_CHARACTERS = 32


def compact(value: Any) -> bytes:
    """JSON without a line break or a needless space.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON does not know.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def digest(value: Any) -> str:
    """128 bits of SHA-256 over the compact form with the members of objects in order."""
    ordered = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(ordered.encode()).hexdigest()[:DIGEST_CHARACTERS]
