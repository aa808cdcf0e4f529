"""An S3-compatible server (moto's) on loopback, and an empty bucket in it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import boto3
from obstore.store import S3Store


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a server of its own, on a free port; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(url, timeout=1):
                    break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def make_account(endpoint: str, *, region: str) -> Mapping[str, str]:
    """Make a user with a bucket, `mine`, on a server that refuses all others from then on."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    iam = boto3.client("iam", endpoint_url=endpoint, region_name=region, **keys)
    iam.create_user(UserName="me")
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    everything = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="me")["AccessKey"]
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region, **keys)
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": region})
    address, kind = f"{endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    call = urllib.request.Request(address, data=b"0", method="POST", headers=kind)
    urllib.request.urlopen(call, timeout=10).close()
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def s3_environment(endpoint: str) -> Mapping[str, str]:
    """Environment variables with which obstore and Icechunk find the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


def make_bucket(endpoint: str, name: str) -> S3Store:
    """Empty the server and make a bucket; the environment has to be set."""
    for request in ("moto-api/reset", name):
        method = "POST" if request.startswith("moto") else "PUT"
        call = urllib.request.Request(f"{endpoint}/{request}", method=method)
        with urllib.request.urlopen(call, timeout=10):
            pass
    return S3Store(name, client_options={"allow_http": True})
