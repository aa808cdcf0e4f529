"""The command line: what it prints, and that every error is one line with an exit status."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAliasType

import icechunk
import imagecodecs
import numpy as np
import pytest
import tifffile
import typer
import zarr

from tests.helpers.make import Encoding, is_writable, pixels, write
from tests.helpers.range_server import RangeServer
from tests.helpers.read import numcodecs_names
from virtual_tiff import VirtualTIFF, choices
from virtual_tiff._version import __version__
from virtual_tiff.cli import app, main
from virtual_tiff.cli._remedies import options_of
from virtual_tiff.planning.encoding.readers import Reader, readers
from virtual_tiff.planning.metadata import array_document, chunk_key, to_bytes
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.publishing.repository import open_repository
from virtual_tiff.storage.addresses import source_url
from virtual_tiff.storage.stores import registry_for

type Output = pytest.CaptureFixture[str]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def write_plain(path: Path) -> None:
    tifffile.imwrite(path, pixels("uint8", (32, 32)), tile=(16, 16), metadata=None)


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def one_line_error(output: Output) -> str:
    """Return the one line on stderr, and check that there is nothing else."""
    printed = output.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    line, end, rest = printed.err.partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("virtual-tiff: ")
    return line.removeprefix("virtual-tiff: ")


# --- bad input -------------------------------------------------------------------------------


def _missing(folder: Path) -> str:
    return str(folder / "missing.tif")


def _directory(folder: Path) -> str:
    (folder / "images").mkdir()
    return str(folder / "images")


def _empty(folder: Path) -> str:
    (folder / "empty.tif").touch()
    return str(folder / "empty.tif")


def _png(folder: Path) -> str:
    path = folder / "picture.tif"
    path.write_bytes(imagecodecs.png_encode(np.zeros((8, 8), np.uint8)))
    return str(path)


def _truncated_header(folder: Path) -> str:
    write_plain(folder / "whole.tif")
    path = folder / "truncated.tif"
    path.write_bytes((folder / "whole.tif").read_bytes()[:60])
    return str(path)


def _truncated_pixels(folder: Path) -> str:
    write_plain(folder / "whole.tif")
    path = folder / "truncated.tif"
    path.write_bytes((folder / "whole.tif").read_bytes()[:-100])
    return str(path)


def _no_store(folder: Path) -> str:
    return "ftp://example.com/image.tif"


def _no_credentials(folder: Path) -> str:
    return "s3://bucket/image.tif"


BAD: dict[str, tuple[Callable[[Path], str], str, str]] = {
    # source, cause, remedy
    "missing": (_missing, "there is no such file", "Check the spelling"),
    "directory": (_directory, "there are no TIFFs", "names that end in .tif"),
    "empty": (_empty, "the file is empty", "Upload it again"),
    "png": (_png, "this is a PNG, not a TIFF", "Convert it"),
    "truncated header": (
        _truncated_header,
        "beyond the end of the file",
        "copy or download it again",
    ),
    "no store": (_no_store, "no store serves ftp://", "Use a local path or file, http"),
    "no credentials": (_no_credentials, "no AWS credentials", "Set AWS_ACCESS_KEY_ID"),
}


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of AWS, and a metadata service that refuses connections."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("command", ["publish", "info"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, command: str, tmp_path: Path, capsys: Output) -> None:
    make, cause, remedy = BAD[case]
    source = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    # A folder stands for what is in it, which is nothing here.
    status = 2 if case == "directory" else 1
    more = ["--to", str(tmp_path / "repository")] if command == "publish" else []
    start = time.monotonic()
    assert run(command, source, *more) == status
    assert time.monotonic() - start < 30
    line = one_line_error(capsys)
    assert source.rpartition("/")[2] in line
    assert cause in line
    assert remedy in line
    assert sorted(tmp_path.rglob("*")) == before


def test_pixels_that_are_not_there(tmp_path: Path, capsys: Output) -> None:
    source = _truncated_pixels(tmp_path)
    assert run("publish", source, "--to", tmp_path / "repository") == 1
    assert "lies beyond the end of the file" in one_line_error(capsys)
    assert not (tmp_path / "repository").exists()
    # The header is whole, so the table says what is wrong with the image.
    assert run("info", source) == 0
    assert "IFD 0: segment 3" in " ".join(capsys.readouterr().out.split())


def test_a_404(tmp_path: Path, capsys: Output) -> None:
    with RangeServer(tmp_path) as server:
        assert run("publish", f"{server.url}/no.tif", "--to", tmp_path / "repository") == 1
        assert [request.status for request in server.requests] == [404]
    assert "there is no such file. Check the spelling" in one_line_error(capsys)
    assert not (tmp_path / "repository").exists()


def test_somebody_elses_repository(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    storage = icechunk.local_filesystem_storage(str(tmp_path / "repository"))
    theirs = icechunk.Repository.create(storage)
    session = theirs.writable_session("main")
    zarr.create_group(session.store, path="theirs")
    session.commit("Theirs")
    arguments = ("publish", tmp_path / "a.tif", "--to", tmp_path / "repository")
    before = sorted((tmp_path / "repository").rglob("*"))
    assert run(*arguments) == 1
    line = one_line_error(capsys)
    assert "holds data that virtual-tiff did not publish" in line
    assert "--into-existing" in line
    assert sorted((tmp_path / "repository").rglob("*")) == before
    assert run(*arguments, "--into-existing") == 0
    capsys.readouterr()
    assert run(*arguments) == 1
    assert "--group" in one_line_error(capsys)
    assert run(*arguments, "--group", "/again/") == 0
    store = theirs.readonly_session("main").store
    assert {name for name, _ in zarr.open_group(store, mode="r").members()} == {
        *("_virtual_tiff", "a", "again", "theirs")
    }


def test_a_folder_of_other_files(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    assert run("publish", tmp_path / "a.tif", "--to", tmp_path) == 1
    assert "the folder holds other files" in one_line_error(capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    assert run("publish", tmp_path / "a.tif", "--to", "/proc/repository") == 1
    assert "/proc/repository" in one_line_error(capsys)


@pytest.mark.usefixtures("no_credentials")
def test_a_bucket_without_credentials(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    assert run("publish", tmp_path / "a.tif", "--to", "s3://bucket/repository") == 1
    line = one_line_error(capsys)
    assert "access to the repository was refused" in line
    assert "Set the credentials" in line


def test_several_bad_files(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    sources = [str(tmp_path / "a.tif"), _missing(tmp_path), _empty(tmp_path), _png(tmp_path)]
    assert run("publish", "--to", tmp_path / "repository", *sources) == 1
    line = one_line_error(capsys)
    assert line.startswith("3 of 4 sources failed: ")
    assert "missing.tif" in line
    assert "empty.tif" in line
    assert not (tmp_path / "repository").exists()
    # What can be read is shown all the same.
    assert run("info", "--json", *sources) == 1
    printed = capsys.readouterr()
    assert [file["url"] for file in json.loads(printed.out)] == [(tmp_path / "a.tif").as_uri()]
    assert printed.err.startswith("virtual-tiff: 3 of 4 sources failed: ")
    assert printed.err.count("\n") == 1


def test_bad_files_can_be_left_out(tmp_path: Path, capsys: Output) -> None:
    folder, repository = tmp_path / "files", tmp_path / "repository"
    folder.mkdir()
    bad = Path(_png(folder)).rename(folder / "b.tif")
    arguments = ("publish", f"{folder}/", "--to", repository, "--skip-failed", "--quiet")
    assert run(*arguments) == 1
    assert "this is a PNG, not a TIFF" in one_line_error(capsys)
    assert not repository.exists()
    write_plain(folder / "a.tif")
    write_plain(folder / "c.tif")
    assert run(*arguments) == 3
    out = capsys.readouterr().out
    assert out.startswith("Published 2 TIFFs")
    assert "1 file left out" in out
    assert f"{bad.as_uri()}: this is a PNG, not a TIFF" in out
    store = open_repository(str(repository)).readonly_session("main").store
    groups = zarr.open_group(store, mode="r")
    assert {name for name, _ in groups.members()} == {"a", "c", RESERVED}
    array = groups["c/0/image"]
    assert isinstance(array, zarr.Array)
    assert np.array_equal(np.asarray(array[:]), tifffile.imread(folder / "c.tif"))


def test_folders_and_patterns(tmp_path: Path, capsys: Output) -> None:
    for name in ("a.tif", "b.tif", "c.txt"):
        write_plain(tmp_path / name)
    for source in (f"{tmp_path}/", f"{tmp_path}/*.tif"):
        assert run("info", source, "--json") == 0
        urls = [file["url"] for file in json.loads(capsys.readouterr().out)]
        assert urls == [(tmp_path / name).as_uri() for name in ("a.tif", "b.tif")]


@pytest.mark.parametrize("command", ["publish", "info", "scan", "stack", "append", "verify", "log"])
def test_help_fits_a_terminal(
    command: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    # No name of an option is cut off, and no pattern has its backslashes doubled.
    shown = {word for word in text.split() if word.startswith("--")}
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    assert {o for p in parameters for o in p.opts if o.startswith("--")} <= shown
    assert "\\\\" not in text


def test_every_command_has_examples_of_options_that_it_has() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        epilog = " ".join((command.epilog or "").split())
        examples = re.findall(r"virtual-tiff (\S+) (.*?)(?= virtual-tiff | [|]|$)", epilog)
        assert examples
        assert {which for which, _ in examples} == {name}
        options = set(re.findall(r"(?<= )--[a-z-]+", " ".join(words for _, words in examples)))
        assert options <= set(options_of(name).values())


def test_help_shows_the_values_of_every_choice(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    shown: dict[str, set[str]] = {}
    for command in app.registered_commands:
        assert command.callback is not None
        assert run(command.callback.__name__, "--help") == 0
        _, *options = re.split(r"--(?=[a-z-]+  )", capsys.readouterr().out)
        shown |= {text.split()[0].replace("-", ""): set(re.split(r"\W", text)) for text in options}
    aliases = {each for each in vars(choices).values() if isinstance(each, TypeAliasType)}
    # Kinds of sidecars come in a list, and what failed is left out with a flag.
    for alias in aliases - {choices.SidecarKind, choices.OnFailed, choices.OnMismatch}:
        assert set(choices.values_of(alias)) <= shown[alias.__name__.lower()]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["publish"], "SOURCE"),
        (["publish", "a.tif"], "--to"),
        (["info"], "SOURCE"),
        (["nonsense"], "nonsense"),
        (["info", "a.tif", "--nonsense"], "--nonsense"),
        (["publish", "a.tif", "--to", "r", "--layout", "stack"], "cube with virtual-tiff stack"),
        (["publish", "a.tif", "--to", "r", "--layout=stack"], "cube with virtual-tiff stack"),
        (["publish", "a.tif", "--to", "r", "--stack"], "cube with virtual-tiff stack"),
        (["append", "a.tif", "--to", "r", "--stack"], "No such option: --stack"),
        (["publish", "a.tif", "--to", "r", "--ifd-layout", "nonsense"], "'flat', 'nested'"),
        (["publish", "a.tif", "--to", "r", "--band-axis", "middle"], "'first', 'last'"),
        (["publish", "a.tif", "--to", "r", "--ifd", "x"], "0.1"),
        (["publish", "a.tif", "--to", "r", "--ifd", "-1"], "-1"),
        (["publish", "a.tif", "--to", "r", "--on-unsupported", "x"], "'raise', 'copy'"),
        (["append", "a.tif", "--to", "r", "--on-present", "x"], "'raise', 'skip'"),
        (["append", "a.tif", "--to", "r", "--out-of-order", "x"], "'raise', 'insert'"),
        (["stack", "a.tif", "--to", "r", "--on-duplicate", "x"], "'first', 'last', 'newest'"),
        (["info", "a.tif", "--sidecars", "ovr,x"], "'x' is neither all nor one of ovr, msk"),
        (["publish", "a.tif", "--to", "r", "--concurrency", "0"], "concurrency"),
        (["publish", "a.tif", "a.tif", "--to", "r"], "more than once"),
        (["publish", "a.tif", "--to", "ftp://h/r"], "ftp://"),
        (["publish", "a.tif", "--to", "https://h/r"], "HTTP"),
        (["publish", "https://h/a.tif?sig=1", "--to", "r"], "query"),
    ],
)
def test_wrong_arguments(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert text in one_line_error(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_not_there(tmp_path: Path, capsys: Output) -> None:
    write_plain(tmp_path / "a.tif")
    assert run("publish", tmp_path / "a.tif", "--to", tmp_path / "r", "--ifd", "3") == 2
    assert "the file has 1" in one_line_error(capsys)


# --- help ------------------------------------------------------------------------------------


def test_version_and_help(capsys: Output) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    for arguments in ([], ["--help"], ["publish", "-h"], ["info", "--help"]):
        assert main(arguments) == 0
        assert "virtual-tiff" in capsys.readouterr().out
    assert main(["publish", "--help"]) == 0
    assert "--to s3://mine/repo" in capsys.readouterr().out


def test_help_does_not_wait_for_libraries() -> None:
    code = (
        "import sys; from virtual_tiff.cli import main; main(['--help']); "
        "print([m for m in ('zarr', 'icechunk', 'numpy', 'xarray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""


def test_the_exit_status_of_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "virtual_tiff.cli", "info", str(tmp_path / "no.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


# --- publish ---------------------------------------------------------------------------------


@pytest.mark.parametrize("over_http", [False, True], ids=["file", "http"])
def test_publish_prints_how_to_read(over_http: bool, tmp_path: Path, capsys: Output) -> None:
    data = pixels("uint8", (32, 32))
    write_plain(tmp_path / "a.tif")
    with RangeServer(tmp_path) as server:
        source = f"{server.url}/a.tif" if over_http else str(tmp_path / "a.tif")
        assert run("publish", source, "--to", tmp_path / "repository", "-m", "Mine") == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        head, code = printed.out.split("Read it where", 1)
        assert "Published 1 TIFF to " in head
        assert "1 array, 4 references, snapshot " in head
        lines = [line.removeprefix("    ") for line in code.splitlines() if line[:4] == "    "]
        # See virtual_tiff.storage.shutdown, which the program does not import.
        pause = "import atexit, time; atexit.register(time.sleep, 0.1)"
        program = [pause, *lines, "print(dataset['image'].values.tolist() == EXPECTED)"]
        script = "\n".join(program).replace("EXPECTED", repr(data.tolist()))
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
    assert done.stdout.splitlines()[-1] == "True"


def test_publish_options(tmp_path: Path, capsys: Output) -> None:
    for name in ("a", "b"):
        data = pixels("uint8", (3, 32, 32))
        tifffile.imwrite(
            tmp_path / f"{name}.tif", np.moveaxis(data, 0, -1), tile=(16, 16), metadata=None
        )
    sources = [tmp_path / "a.tif", tmp_path / "b.tif"]
    arguments = ["--ifd", "0", "--ifd-layout", "nested", "--band-axis", "last", "--group", "x"]
    target = ["--branch", "new", "--json", "--to"]
    assert run("publish", *sources, *arguments, *target, tmp_path / "repository") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["branch"] == "new"
    assert list(result["groups"].values()) == ["x/a", "x/b"]
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(tmp_path / "repository")),
        authorize_virtual_chunk_access={
            prefix: icechunk.Credentials.LocalFileSystemAccess() for prefix in result["containers"]
        },
    )
    store = repository.readonly_session("new").store
    array = zarr.open_array(store, path="x/b/0/0", mode="r", zarr_format=3)
    assert np.array_equal(np.asarray(array[...]), np.moveaxis(data, 0, -1))
    assert repository.lookup_branch("new") == result["snapshot_id"]


# --- info ------------------------------------------------------------------------------------


def test_info_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("info", *sorted(EXAMPLES.glob("*.tif"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [" ".join(line.split()) for line in lines if "float32" in line and "rows" in line]
    assert row == "0 image 300×250 1 float32 64 rows Deflate + pred. 3 · I · ·"
    kinds = [line.split()[1] for line in lines if line[:1].isdigit() and "×" in line]
    assert kinds[:6] == ["image", "mask", "overview", "overview", "mask", "mask"]
    assert sum("EPSG:32633 (WGS 84 / UTM zone 33N)" in line for line in lines) == 10


def test_info_as_json(capsys: Output) -> None:
    assert run("info", EXAMPLES / "aerial.tif", EXAMPLES / "wind.tif", "--json") == 0
    aerial, wind = json.loads(capsys.readouterr().out)
    assert aerial["size"] == (EXAMPLES / "aerial.tif").stat().st_size
    assert [image["kind"] for image in aerial["images"]] == [
        *("image", "mask", "overview", "overview", "mask", "mask")
    ]
    assert wind["images"] == [
        {
            "ifd": "0",
            "kind": "image",
            "width": 150,
            "height": 125,
            "bands": 2,
            "data_type": "float32",
            "bits_per_sample": 32,
            "photometric": "black is zero",
            "layout": "tiles",
            "segment_shape": [64, 64],
            "segments": 12,
            "missing_segments": 0,
            "interleaved": False,
            "compression": "none",
            "predictor": None,
            "nodata": None,
            "crs": "EPSG:32633 (WGS 84 / UTM zone 33N)",
            "transform": [20.0, 0.0, 399960.0, 0.0, -20.0, 5300040.0],
            "bounds": [399960.0, 5297540.0, 402960.0, 5300040.0],
            "resolution": [20.0, 20.0],
            "band_info": [],
            "area_or_point": "Area",
            "control_points": 0,
            "rpcs": False,
            "metadata": {},
            "geo_keys": wind["images"][0]["geo_keys"],
            "chunk_shape": [1, 64, 64],
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "readers": [str(reader) for reader in Reader],
            "problem": None,
            "notes": [],
        }
    ]


@pytest.mark.corpus
def test_info_of_what_others_wrote(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, corpus_sample: list[Path]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for path in corpus_sample:
        status = run("info", path)
        printed = capsys.readouterr()
        assert status in (0, 1), path
        assert (printed.out == "") == (status == 1), path
        assert max(map(len, printed.out.splitlines()), default=0) <= 80, path


@pytest.fixture
def corpus_sample() -> list[Path]:
    from tests.conftest import corpus_files

    return corpus_files()[::12]


# --- readers ---------------------------------------------------------------------------------

_CHAINS = [
    Encoding(),
    Encoding(dtype="int16", byte_order="big", samples=3),
    Encoding(dtype="float16"),
    Encoding(dtype="complex64"),
    Encoding(dtype="complex64", byte_order="big"),
    Encoding(compression="deflate", samples=3),
    Encoding(compression="zstd", samples=3, planar=True),
    Encoding(compression="lzma"),
    Encoding(compression="lzw"),
    Encoding(compression="zstd", predictor=2),
    Encoding(dtype="float32", compression="deflate", predictor=3),
]


@pytest.mark.parametrize("encoding", _CHAINS, ids=lambda encoding: encoding.name)
def test_what_zarrs_reads(encoding: Encoding, tmp_path: Path) -> None:
    """Whether zarrs reads a chain exactly is known before it is tried."""
    assert is_writable(encoding)
    data = write(encoding, path := tmp_path / "a.tif")
    url = source_url(path)
    plan = VirtualTIFF(ifd=0).plan(url, registry_for([url])).arrays["0"]
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_bytes(to_bytes(array_document(plan)))
    for index in np.ndindex(plan.grid_shape):
        offset, length = int(plan.offsets[index]), int(plan.lengths[index])
        chunk = folder / chunk_key(index)
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(path.read_bytes()[offset : offset + length])
    pipeline = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}
    with numcodecs_names(), zarr.config.set(pipeline):
        try:
            exact = zarr.open_array(folder, mode="r")[...].tobytes() == data.tobytes()  # type: ignore[union-attr]
        except Exception:
            exact = False
    assert exact == (Reader.ZARRS in readers(plan.codecs, plan.data_type.name))
