"""Our signer against the SDK's own."""

import string
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from ecs_scheduler.ecs.signing import SIGNED_BY_KEPT_KEY, KeptKeyAuth

URLS = (
    "https://ecs.eu-west-1.amazonaws.com/",
    "https://ecs.eu-west-1.amazonaws.com:443/",
    "http://127.0.0.1:8000/",
    "http://[::1]:8000/",
    "https://user@VPCE-0123.ecs.eu-west-1.vpce.amazonaws.com/some/path",
)
words = st.text(string.ascii_letters + string.digits + " ", min_size=1, max_size=30)


@given(
    body=st.binary(max_size=200),
    url=st.sampled_from(URLS),
    secrets=st.lists(words, min_size=1, max_size=3),
    token=st.none() | st.just("a session token"),
    headers=st.dictionaries(
        st.sampled_from(["X-Amz-Target", "User-Agent", "traceparent", "X-Own", "Host"]), words
    ),
)
def test_a_signature_is_the_sdks_to_the_letter(
    body: bytes, url: str, secrets: list[str], token: str | None, headers: dict[str, str]
) -> None:
    """Also where the secret is rotated between calls and comes back."""
    for secret in (*secrets, *secrets):
        credentials = ReadOnlyCredentials("AKID", secret, token)
        request = AWSRequest(method="POST", url=url, data=body, headers=headers)
        KeptKeyAuth(credentials, "ecs", "eu-west-1").add_auth(request)
        ours = request.headers["Authorization"]
        del request.headers["Authorization"]
        theirs = SigV4Auth(credentials, "ecs", "eu-west-1")
        stamp = theirs.string_to_sign(request, theirs.canonical_request(request))
        signed = theirs.signed_headers(theirs.headers_to_sign(request))
        scope, signature = theirs.scope(request), theirs.signature(stamp, request)
        assert ours == (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"
        )


@pytest.mark.parametrize("version", ["v4", SIGNED_BY_KEPT_KEY])
async def test_a_client_signs_by_either(version: str) -> None:
    """The signer is chosen by name; what goes out names the same headers."""
    sent: list[Any] = []

    class Session:
        def __init__(self, *_: Any, **__: Any) -> None:
            """Whatever a real one takes."""

        async def __aenter__(self) -> "Session":
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing to close."""

        async def send(self, request: Any) -> Any:
            sent.append(request)
            raise ConnectionError

    once = AioConfig(
        signature_version=version,
        http_session_cls=Session,
        retries={"total_max_attempts": 1},
    )
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    async with AioSession().create_client(
        "ecs", region_name="eu-west-1", config=once, **keys
    ) as client:
        with pytest.raises(ConnectionError):
            await client.list_clusters()
    (authorization,) = {str(each.headers["Authorization"]) for each in sent}
    assert "AKID" in authorization
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-target" in authorization
