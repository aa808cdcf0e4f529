"""The repository itself: what its files promise each other, and what must not be in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# Tasks that are about the environment, which pixi makes itself.
MAKE_ONLY = {
    *("clean", "constraints", "env", "help"),
    *("test-latest", "test-lowest", "test-ome-zarr", "test-recipes", "test-torch"),
}
REGISTRIES = re.compile(
    rb"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|anaconda\.(?:org|com)"
    rb"|prefix\.dev|crates\.io|deb\.debian\.org|proxy\.golang\.org|(?:extra-)?index-url *[=:]"
)
LOCK_FILES = {
    "Pipfile.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pdm.lock",
    "pixi.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
}


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def _requirements(groups: dict[str, list[str | dict[str, str]]]) -> list[Requirement]:
    """The requirements of all groups, without those that only name another group."""
    return [Requirement(r) for group in groups.values() for r in group if isinstance(r, str)]


def _repository_files() -> list[Path]:
    """Files that are in the repository, or would be after `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [file for file in files if file.is_file()]


def _run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=os.environ | environment, timeout=120
    )


# --- pyproject.toml, pixi.toml, Makefile, constraints.txt ------------------------------------


def test_pixi_has_the_dependencies_of_pyproject() -> None:
    project, pixi = _toml("pyproject.toml"), _toml("pixi.toml")
    assert pixi["dependencies"] == {"python": project["project"]["requires-python"]}

    listed = pixi["pypi-dependencies"]
    assert listed.pop("virtual-tiff") == {"path": ".", "editable": True, "extras": ["all"]}
    assert listed.pop("zarr-chunkwise") == {"path": "clients/python", "editable": True}
    theirs = {
        name: (entry, set()) if isinstance(entry, str) else (entry["version"], set(entry["extras"]))
        for name, entry in listed.items()
    }
    ours = {
        r.name: (str(r.specifier), r.extras) for r in _requirements(project["dependency-groups"])
    }
    assert theirs == ours


def test_groups_agree_where_they_name_the_same_package() -> None:
    bounds: dict[str, set[str]] = {}
    project = _toml("pyproject.toml")
    optional = project["project"]["optional-dependencies"]
    for requirement in _requirements(optional) + _requirements(project["dependency-groups"]):
        bounds.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_extra_all_and_the_group_dev_are_complete() -> None:
    project = _toml("pyproject.toml")
    extras = project["project"]["optional-dependencies"]
    (everything,) = (Requirement(r) for r in extras.pop("all"))
    assert everything.extras == set(extras)

    groups = project["dependency-groups"]
    included = {entry["include-group"] for entry in groups.pop("dev")}
    assert included == set(groups)


def test_pixi_has_the_tasks_of_the_makefile() -> None:
    rules = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    tasks = {name: " ".join(task.split()) for name, task in _toml("pixi.toml")["tasks"].items()}
    assert set(tasks) == set(rules) - MAKE_ONLY

    for name, task in tasks.items():
        # BIN= leaves out the folder of the environment; MAKEFLAGS of an outer make stay out too.
        dry = _run("make", "--dry-run", "--no-print-directory", "BIN=", name, MAKEFLAGS="")
        assert dry.returncode == 0, dry.stderr
        lines = [line for line in dry.stdout.splitlines() if line != "scripts/bootstrap.sh"]
        assert " && ".join(lines) == task


def test_the_hook_runs_what_ci_runs() -> None:
    (entry,) = re.findall(r"^ *entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.M)
    steps = (ROOT / ".ci" / "run").read_text().splitlines()
    assert entry in steps
    prek = Path(sys.executable).with_name("prek")
    done = _run(str(prek), "validate-config", ".pre-commit-config.yaml")
    assert done.returncode == 0, done.stderr


def test_a_release_finds_its_version_and_its_heading() -> None:
    """What release.yml looks for is there, in the form that it looks for."""
    steps = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    (expression,) = re.findall(r"sed -n '(s/.*/p)'", steps)
    found = subprocess.run(
        ["sed", "-n", expression, "src/virtual_tiff/_version.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert found.strip() == version("virtual-tiff")
    # Clients have the same version, each in the form of its registry.
    assert _toml("clients/python/pyproject.toml")["project"]["version"] == found.strip()
    package = json.loads((ROOT / "clients/javascript/package.json").read_text())
    assert package["version"].replace("-dev.", ".dev") == found.strip()
    assert 'grep -q "^## \\[${GITHUB_REF_NAME#v}\\]" CHANGELOG.md' in steps
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "Unreleased"


def test_actions_are_pinned_by_commit() -> None:
    """A tag can be moved; the comment tells dependabot and people the version."""
    lines = [
        line.strip()
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert lines
    pinned = re.compile(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in lines if pinned.fullmatch(line) is None] == []


def test_constraints_pin_every_dependency() -> None:
    project = _toml("pyproject.toml")
    required = [
        *map(Requirement, project["project"]["dependencies"]),
        *map(Requirement, project["build-system"]["requires"]),
        *_requirements(project["project"]["optional-dependencies"]),
        *_requirements(project["dependency-groups"]),
    ]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in pins)
    assert not [pin for pin in pins if pin.url]

    pinned = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    astray = [
        str(r)
        for r in required
        if r.name != "virtual-tiff"
        and not (r.name in pinned and r.specifier.contains(pinned[r.name], prereleases=True))
    ]
    assert astray == []


def test_no_registry_address_and_no_lock_file() -> None:
    files = _repository_files()
    assert ROOT / "pyproject.toml" in files
    assert [file.name for file in files if file.name in LOCK_FILES] == []
    named = {
        str(file.relative_to(ROOT)): match.group().decode()
        for file in files
        if (match := REGISTRIES.search(file.read_bytes()))
    }
    assert named == {}


def test_the_search_for_registry_addresses_finds_one() -> None:
    for parts in (("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org")):
        assert REGISTRIES.search(f"https://{'.'.join(parts)}/simple".encode())


# --- the package -----------------------------------------------------------------------------


def test_import_is_lazy() -> None:
    heavy = ["async_tiff", "icechunk", "obstore", "tifffile", "virtualizarr", "xarray", "zarr"]
    code = (
        "import json, sys, virtual_tiff\n"
        "version = virtual_tiff.__version__\n"
        f"loaded = [name for name in {heavy} if name in sys.modules]\n"
        "print(json.dumps([version, loaded]))"
    )
    done = _run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [version("virtual-tiff"), []]


def test_public_names_resolve() -> None:
    import virtual_tiff

    names = virtual_tiff.__all__
    assert names
    assert [name for name in names if not hasattr(virtual_tiff, name)] == []
    assert set(names) <= set(dir(virtual_tiff))


def test_console_script_resolves() -> None:
    (script,) = entry_points(group="console_scripts", name="virtual-tiff")
    assert callable(script.load())


def test_types_are_published() -> None:
    assert (ROOT / "src" / "virtual_tiff" / "py.typed").is_file()


# --- import contracts ------------------------------------------------------------------------


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    return _run(str(linter), "--no-cache", "--no-logo", cwd=folder, NO_COLOR="1", COLUMNS="200")


def test_imports_go_one_way() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        (
            "planning/plan",
            "import zarr",
            "Planning needs no store, no TIFF library and no Zarr library",
        ),
        ("tiff/ifd", "from virtual_tiff.planning import plan", "The data flows one way"),
        ("nowhere_listed", "", "The data flows one way"),
    ],
)
def test_import_contracts_notice(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "src" / "virtual_tiff", tmp_path / "virtual_tiff")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "virtual_tiff" / f"{module}.py").open("a") as file:
        file.write(f"\n{line}\n")
    done = _lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"{contract} BROKEN", done.stdout)


# --- the rule of conftest.py -----------------------------------------------------------------

RUNS = "import pytest\n@pytest.mark.corpus\ndef test_corpus(): pass\n"
TAKES_FILE = "def test_file(corpus_file): assert corpus_file.read_bytes() == b'II'\n"
SKIPS = "import pytest\n@pytest.mark.corpus\ndef test_skips(): pytest.skip('no')\n"
OTHER = "def test_other(): pass\n"


def _run_pytest(
    folder: Path, *options: str, target: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    return _run(
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *options,
            str(target or folder),
        ),
        cwd=folder,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_ADDOPTS="",
        **environment,
    )


@pytest.mark.parametrize(
    ("tests", "ci", "options", "status"),
    [
        pytest.param(OTHER, "true", (), 1, id="none"),
        pytest.param(OTHER, "", (), 0, id="none-but-not-on-ci"),
        pytest.param(SKIPS + OTHER, "true", (), 1, id="skipped"),
        pytest.param(TAKES_FILE + OTHER, "true", ("-m", "not corpus"), 1, id="deselected"),
        pytest.param(OTHER, "true", ("-p", "xdist", "-n", "2"), 1, id="none-in-workers"),
        pytest.param(RUNS, "true", (), 0, id="marked"),
        pytest.param(TAKES_FILE, "true", (), 0, id="takes-a-file"),
        pytest.param(RUNS, "true", ("-p", "xdist", "-n", "2"), 0, id="marked-in-workers"),
    ],
)
def test_ci_fails_when_the_corpus_was_not_run(
    tmp_path: Path, tests: str, ci: str, options: tuple[str, ...], status: int
) -> None:
    corpus, folder = tmp_path / "corpus", tmp_path / "tests"
    corpus.mkdir()
    folder.mkdir()
    (corpus / "a.TIF").write_bytes(b"II")
    (folder / "test_it.py").write_text(tests)
    done = _run_pytest(folder, *options, CI=ci, VIRTUAL_TIFF_CORPUS=str(corpus))
    assert done.returncode == status, done.stdout + done.stderr
    assert ("no corpus test ran" in done.stdout) == (status == 1)


def test_single_files_do_not_owe_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II")
    file = tmp_path / "test_it.py"
    file.write_text(OTHER)
    done = _run_pytest(tmp_path, CI="true", VIRTUAL_TIFF_CORPUS=str(tmp_path), target=file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_corpus_tests_are_skipped_without_a_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "checkout" / "tests"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(OTHER + TAKES_FILE + RUNS)
    done = _run_pytest(folder, CI="true", VIRTUAL_TIFF_CORPUS="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 2 skipped" in done.stdout
