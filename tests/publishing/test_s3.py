"""Archives in an S3-compatible store (moto's server): listing, publishing, appending, verifying."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import obstore
import pytest
from obstore.store import S3Store

from tests.helpers.archive import PATTERN, opened, read_paths, write_scene, write_scenes
from tests.helpers.s3 import make_account, make_bucket, moto_server, s3_environment
from tests.publishing.test_commit import at_once
from tests.publishing.test_faults import race_urls
from virtual_tiff import cli
from virtual_tiff.audit.describe import describe
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.verify import verify
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.inventory.scan import scan
from virtual_tiff.operations.publish import publish
from virtual_tiff.operations.stack import append, stack
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.publishing.results import PublishResult

BUCKET = "archive"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """An empty bucket, and the environment that finds it."""
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return make_bucket(endpoint, BUCKET)


def upload(store: S3Store, paths: list[Path], folder: str) -> list[str]:
    for path in paths:
        obstore.put(store, f"{folder}/{path.name}", path.read_bytes())
    return [f"s3://{BUCKET}/{folder}/{path.name}" for path in paths]


def test_from_a_prefix_to_a_cube_and_back(bucket: S3Store, tmp_path: Path) -> None:
    paths = write_scenes(tmp_path, 4)
    urls = upload(bucket, paths[:3], "scenes")
    upload(bucket, paths[3:], "late")
    repo = f"s3://{BUCKET}/repository"
    inventory = scan(f"s3://{BUCKET}/scenes/", datetime_pattern=PATTERN)
    assert inventory.table["url"].to_pylist() == urls
    globbed = scan(f"s3://{BUCKET}/**/*_202402*.tif").table["url"].to_pylist()
    assert [url.rsplit("/", 1)[-1] for url in globbed] == [paths[3].name, paths[2].name]
    stack(inventory, repo)
    append(f"s3://{BUCKET}/late/", repo, datetime_pattern=PATTERN)
    dataset = opened(open_repository(repo))
    assert np.array_equal(dataset["data"].values, read_paths(paths))
    report = verify(repo, sample=None)
    assert (report.exit_status, report.decoded) == (0, 4)

    obstore.put(bucket, "scenes/" + paths[1].name, paths[2].read_bytes())
    obstore.delete(bucket, "scenes/" + paths[2].name)
    found = {f.url: f.status for f in verify(repo).faults}
    assert found == {urls[1]: Status.CHANGED, urls[2]: Status.MISSING}


def test_processes_append_at_once(bucket: S3Store, tmp_path: Path) -> None:
    """Conditional writes decide between writers: each ends in a commit or one clear conflict."""
    repo = f"s3://{BUCKET}/repository"
    paths = write_scenes(tmp_path, 5)
    urls = upload(bucket, paths, "scenes")
    stack(urls[:1], repo, datetime_pattern=PATTERN)
    outcomes = race_urls([urls[1:3], urls[3:]], repo)
    assert outcomes in (["committed", "committed"], ["committed", str(ErrorKind.CONFLICT)])
    repository = open_repository(repo)
    dataset = opened(repository)
    days = [f"{day:%Y%m%d}" for day in dataset["time"].dt.date.values]
    present = [path for path in paths if path.stem[-8:] in days]
    assert len(present) == len(days) == (5 if outcomes[1] == "committed" else 3)
    assert np.array_equal(dataset["data"].values, read_paths(present))
    assert verify(repo, sample=None).exit_status == 0


def test_a_repository_that_several_make_at_once(bucket: S3Store, tmp_path: Path) -> None:
    repo = f"s3://{BUCKET}/repository"
    urls = upload(bucket, write_scenes(tmp_path, 4), "scenes")

    def one(url: str) -> Callable[[], PublishResult]:
        return lambda: publish([url], repo)

    results = at_once([one(url) for url in urls])
    there = {snapshot.id for snapshot in open_repository(repo).ancestry(branch="main")}
    assert {result.snapshot_id for result in results} < there
    report = verify(repo, sample=None)
    assert (report.exit_status, len(report.findings)) == (0, len(urls))
    # Something else is there: that is said at once.
    with pytest.raises(RepositoryError) as caught:
        publish(urls[:1], f"s3://{BUCKET}/scenes")
    assert caught.value.kind == ErrorKind.NOT_A_REPOSITORY


def test_a_source_replaced_is_noticed_at_once(bucket: S3Store, tmp_path: Path) -> None:
    """In the same second, with the same size: the ETag tells."""
    (path,) = write_scenes(tmp_path, 1, COMPRESS="NONE")
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / path.name
    write_scene(other, seed=9, COMPRESS="NONE")
    assert path.stat().st_size == other.stat().st_size
    (url,) = upload(bucket, [path], "scenes")
    repo = f"s3://{BUCKET}/repository"
    stack([url], repo, datetime_pattern=PATTERN)
    opened(open_repository(repo))["data"].load()
    upload(bucket, [other], "scenes")
    with pytest.raises(icechunk.IcechunkError, match="changed"):
        opened(open_repository(repo))["data"].load()
    (fault,) = verify(repo, sample=0).faults
    assert (fault.url, fault.status) == (url, Status.CHANGED)
    assert "ETag" in fault.detail
    # The very bytes again are the file again: its ETag is made of them.
    upload(bucket, [path], "scenes")
    opened(open_repository(repo))["data"].load()
    assert verify(repo, sample=0).exit_status == 0


def test_two_servers(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Files on one, the repository on another: by options, saved for readers."""
    paths = write_scenes(tmp_path / "a", 3)
    upload(bucket, paths[:2], "scenes")
    with moto_server() as other:
        for name, value in s3_environment("http://127.0.0.1:9").items():
            monkeypatch.setenv(name, value)
        call = urllib.request.Request(f"{other}/mine", method="PUT")
        urllib.request.urlopen(call, timeout=10).close()
        repo = "s3://mine/repository"
        servers = ["--source-endpoint", endpoint, "--repository-endpoint", other]
        options = ["--to", repo, "--datetime-pattern", PATTERN, "--quiet"]
        assert cli.main(["stack", f"s3://{BUCKET}/scenes/", *options, *servers]) == 0
        upload(bucket, paths[2:], "scenes")
        more = ["--on-present", "skip"]
        assert cli.main(["append", f"s3://{BUCKET}/scenes/", *options, *servers, *more]) == 0
        assert cli.main(["verify", repo, "--sample", "-1", *servers[2:]]) == 0
        assert cli.main(["append", "--changed", "--to", repo, *servers]) == 0
        assert "VIRTUAL_TIFF_SOURCE_ENDPOINT" not in os.environ
        assert cli.main(["describe", repo, "--repository-endpoint", "example.com"]) == 2
        monkeypatch.setenv("VIRTUAL_TIFF_REPOSITORY_ENDPOINT", other)
        info = describe(repo)
        assert other in info.code
        names: dict[str, Any] = {}
        exec(info.code, names)
        stored = read_paths(paths)
        seen = np.where(stored == 7, np.nan, stored)  # as xarray masks nodata
        assert np.array_equal(names["dataset"]["data"].values, seen, equal_nan=True)


def test_two_accounts(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """The server of the repository has other keys and another region than that of the files."""
    paths = write_scenes(tmp_path / "a", 3)
    upload(bucket, paths, "scenes")
    repo = "s3://mine/repository"
    with moto_server() as other:
        key = make_account(other, region="eu-west-1")
        monkeypatch.setenv("VIRTUAL_TIFF_REPOSITORY_ENDPOINT", other)
        monkeypatch.setenv("VIRTUAL_TIFF_REPOSITORY_REGION", "eu-west-1")
        monkeypatch.setenv("VIRTUAL_TIFF_RETRY_SECONDS", "0")
        with pytest.raises(RepositoryError):
            open_repository(repo, create=True)  # with the keys of the files
        for name, value in key.items():
            monkeypatch.setenv(f"VIRTUAL_TIFF_REPOSITORY_{name.upper()}", value)
        stack(f"s3://{BUCKET}/scenes/", repo, datetime_pattern=PATTERN)
        assert verify(repo, sample=None).exit_status == 0
        assert np.array_equal(opened(open_repository(repo))["data"].values, read_paths(paths))
        code = describe(repo).code
        assert "region='eu-west-1'" in code
        assert not any(value in code for value in key.values())
        monkeypatch.delenv("VIRTUAL_TIFF_REPOSITORY_SECRET_ACCESS_KEY")
        with pytest.raises(InvalidOptionError):
            open_repository(repo)


def test_the_server_that_readers_ask(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository names the endpoint: another one in the environment changes nothing."""
    paths = write_scenes(tmp_path / "a", 3)
    urls = upload(bucket, paths, "scenes")
    repo = str(tmp_path / "repository")
    stack(urls[:2], repo, datetime_pattern=PATTERN)
    with moto_server() as elsewhere:
        for name, value in s3_environment(elsewhere).items():
            monkeypatch.setenv(name, value)
        upload(make_bucket(elsewhere, BUCKET), paths[2:], "scenes")
        report = verify(repo, sample=None)
        assert (report.exit_status, report.decoded) == (0, 2)
        # It would be read from the first server, which has no such file.
        before = open_repository(repo).lookup_branch("main")
        with pytest.raises(RepositoryError) as caught:
            append(urls[2:], repo, datetime_pattern=PATTERN)
        assert caught.value.kind == ErrorKind.CONFLICT
        with pytest.raises(RepositoryError) as refused:
            publish(urls[2:], repo, group="tree")
        assert refused.value.kind == ErrorKind.CONFLICT
        assert open_repository(repo).lookup_branch("main") == before


def test_a_beginning_that_was_killed(bucket: S3Store, tmp_path: Path) -> None:
    urls = upload(bucket, write_scenes(tmp_path, 1), "scenes")
    repo = f"s3://{BUCKET}/repository"
    publish(urls, repo)
    first = {"snapshots", "transactions"}
    for found in obstore.list(bucket, prefix="repository/").collect():
        key = found["path"].removeprefix("repository/")
        if key.partition("/")[0] not in first or "1CECHNKREP0F1RSTCMT0" not in key:
            obstore.delete(bucket, found["path"])
    assert publish(urls, repo).snapshot_id
    assert verify(repo, sample=None).exit_status == 0
