"""Secrets in addresses are refused, and stand in no message; neither do control characters."""

from __future__ import annotations

import pytest

from virtual_tiff import publish, scan
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourceError
from virtual_tiff.messages import printable, redacted
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.containers import s3_settings
from virtual_tiff.storage.addresses import linked_url, source_url
from virtual_tiff.storage.stores import registry_for

_SECRET = "hunter2"
SECRETS = [
    f"https://user:{_SECRET}@host/a.tif",
    f"https://{_SECRET}@host/a.tif",
    f"https://user:p@{_SECRET}@host/a.tif",
    f"s3://KEY:{_SECRET}@bucket/a.tif",
    f"https://host/a.tif#token={_SECRET}",
    f"https://host/a.tif;token={_SECRET}",
    f"https://host/a.tif%3Fsig={_SECRET}",
    f"https://host/a.tif%3fsv=1%26sig%3D{_SECRET}",
    f"https://host/a.tif?X-Amz-Signature={_SECRET}",
    f"s3://bucket/a.tif?X-Amz-Signature={_SECRET}&x=1",
    f"az://container/a.tif?sv=2020&sig={_SECRET}",
    f"gs://bucket/a.tif?X-Goog-Signature={_SECRET}",
    f"https://host/a.tif?AWSAccessKeyId=1&Signature={_SECRET}",
    f"https://host/a.tif?client_secret={_SECRET}",
    f"https://host/a.tif?sessionToken={_SECRET}",
    f"https://host/a.tif;download_token={_SECRET}",
    f"https://host/a.tif#private-token={_SECRET}",
    f"https://host/a.tif#s%69g={_SECRET}",
    f"https://host/a.tif%253Fsig%253D{_SECRET}",
    f"https://host/a.tif%25253fsv=1%252526sig%25253D{_SECRET}",
    f"s3://bucket/a.tif?x-oss-signature={_SECRET}",
    f"https://host/tiles/https%3A%2F%2Fuser%3A{_SECRET}%40other%2Fa.tif",
    f"https://host/tiles/https%253a%252F%252F{_SECRET}%2540other%252Fa.tif",
]
#: Texts of servers and clients that repeat what was sent, and what is to be left of them.
TEXTS = [
    (f"Authorization: Bearer {_SECRET} was refused", "Authorization: Bearer … was refused"),
    (f'{{"authorization": "Basic {_SECRET}", "a": 1}}', '{"authorization": "Basic …", "a": 1}'),
    (f"x-amz-security-token:{_SECRET} host", "x-amz-security-token:… host"),
    (f"<Token-0>{_SECRET}</Token-0><Code>a</Code>", "<Token-0>…</Token-0><Code>a</Code>"),
    (f"<AWSAccessKeyId>{_SECRET}</AWSAccessKeyId>", "<AWSAccessKeyId>…</AWSAccessKeyId>"),
    (f"AWSAccessKeyId={_SECRET}", "AWSAccessKeyId=…"),
    (f"AWS_SECRET_ACCESS_KEY={_SECRET} is wrong", "AWS_SECRET_ACCESS_KEY=… is wrong"),
    (f"aws_session_token = {_SECRET}", "aws_session_token = …"),
    (f"AccountName=a;AccountKey={_SECRET};Suffix=b", "AccountName=a;AccountKey=…;Suffix=b"),
    (f'{{"secretAccessKey":"{_SECRET}","a":1}}', '{"secretAccessKey":"…","a":1}'),
    (f'Config {{ secret_key: Some("{_SECRET}") }}', 'Config { secret_key: Some("…") }'),
    (f"AWS4 Credential={_SECRET}/2022, Signature={_SECRET}", "AWS4 Credential=…, Signature=…"),
    (f"Set-Cookie: session={_SECRET}", "Set-Cookie: session=…"),
    (f"sent Bearer {_SECRET}.abcdefghijk", "sent Bearer …"),
]
#: Texts of this package and of servers that have no secret.
WITHOUT = [
    "Give the store credentials, or pass skip_signature=True for a public bucket.",
    "AWS_SKIP_SIGNATURE=no",
    "Error getting credentials: timed out",
    "s3://bucket/api_key=3/monkey=4",
    "A cookie: nice; a bearer of news; the key: x",
]
#: Names of downloads.
LOCAL = [
    f"file:///data/a.tif?sv=2020&sig={_SECRET}",
    f"file:///data/a.tif%3Fsig={_SECRET}",
    f"/data/a.tif?X-Amz-Signature={_SECRET}",
]
HARMLESS = [
    "https://host/a%20b=c.tif",
    "s3://bucket/year=2020/k%20?#.tif",
    "abfs://container@account.dfs.core.windows.net/a.tif",
    "az://container/tokens/sig.tif",
    "s3://bucket/a#1&2=3;monkey=4;signal=5.tif",
    "https://host/a%2526b%25403.tif",
]


@pytest.mark.parametrize("url", SECRETS + LOCAL)
def test_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        source_url(url)
    assert _SECRET not in str(caught.value) + repr(caught.value) + str(caught.value.url)
    assert _SECRET not in redacted(f"GET {url} failed (403)")
    with pytest.raises(InvalidOptionError) as caught:
        scan([url])
    assert _SECRET not in str(caught.value)
    with pytest.raises(InvalidOptionError):
        publish([url], "memory")
    with pytest.raises((InvalidOptionError, SourceError)) as either:
        VirtualTIFF().plan(url, registry_for(["file:///"]))
    assert _SECRET not in str(either.value)


@pytest.mark.parametrize(("text", "left"), TEXTS)
def test_texts_that_repeat_what_was_sent(text: str, left: str) -> None:
    assert redacted(text) == left
    assert str(SourceError(text)) == left


@pytest.mark.parametrize("text", WITHOUT)
def test_other_texts_stay(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("url", HARMLESS)
def test_other_addresses_are_taken(url: str) -> None:
    assert source_url(url) == url
    assert redacted(url) == url


def test_links_and_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    for base in ("s3://bucket/item.json", "file:///data/item.json"):
        for href in (f"a.tif?X-Amz-Signature={_SECRET}", f"/b/a.tif?X-Amz-Signature={_SECRET}"):
            with pytest.raises(InvalidOptionError):
                linked_url(base, href)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://user:{_SECRET}@minio")
    with pytest.raises(InvalidOptionError) as caught:
        s3_settings({})
    assert _SECRET not in str(caught.value)


def test_a_location_with_a_secret() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        publish(["/nothing.tif"], f"s3://KEY:{_SECRET}@bucket/repository")
    assert _SECRET not in str(caught.value)


def test_messages_do_not_control_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\x9b\u202e é×…") == "a\\u001b[2Jb\\u000ac\\u009b\\u202e é×…"
    error = SourceError("a \x1b[31mred\n server.", url="file:///a\x1b]0;title\x07\n.tif")
    assert error.kind == ErrorKind.STORAGE
    assert str(error).isprintable()
    # The address itself stays what it is, since it names the file.
    assert error.url == "file:///a\x1b]0;title\x07\n.tif"
