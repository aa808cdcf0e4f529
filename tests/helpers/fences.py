"""Code fences of Markdown pages: found, classified, and run as a reader of the page would.

All fences of a page run one after the other, in one namespace and in one folder that has a copy of
`examples/` in it:

- `python` is executed;
- `console` has commands after `$ `, continued after `> `, and what they print;
- `bash` is commands alone;
- `javascript` is executed by Node;
- other languages are not code to run, and have to be in `SHOWN`.

A comment on the line before a fence says what is different about it: `<!-- not run: why -->`,
`<!-- fails -->` for commands that exit with a status other than 0, `<!-- output -->` for a `text`
fence that holds what the `python` fence before it printed. In expected output, `...` stands for
anything.

`python -m tests.helpers.fences PAGE` runs a page in the current folder.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence, Set
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = frozenset({"python", "console", "bash"})
NODE = frozenset({"javascript", "js"})
SHOWN = frozenset({"", "json", "mermaid", "text", "toml", "yaml"})

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<language>[\w+-]*)(?P<rest>.*)$")
_COMMENT = re.compile(r"^ *<!-- (?P<text>.*?) -->$")
#: Makes `virtual-tiff` and `python` those of this process, wherever they are installed.
_PREAMBLE = f"""\
set -euo pipefail
python() {{ '{sys.executable}' "$@"; }}
virtual-tiff() {{ python -m virtual_tiff.cli "$@"; }}
"""


class FenceError(Exception):
    """A fence that is malformed, or does not do what its page says."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A code fence.

    Parameters
    ----------
    page
        File it is in.
    line
        Line of the opening marks, 1-based.
    language
        First word of the info string.
    code
        Without the marks and their indentation.
    comment
        What the comment before it says; empty if there is none.
    """

    page: Path
    line: int
    language: str
    code: str
    comment: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run; `None` where nothing is said."""
        found = re.fullmatch(r"not run: (.+)", self.comment)
        return found[1] if found else None

    @property
    def is_run(self) -> bool:
        """Whether it is run in Python or a shell."""
        return self.language in RUN and self.reason is None


def fences(page: Path) -> list[Fence]:
    """Every fence of a page.

    Raises
    ------
    FenceError
        A fence is not closed, has a language nobody knows, or a comment nobody understands.
    """
    found = list(_fences(page))
    for fence in found:
        if fence.language not in RUN | NODE | SHOWN:
            raise FenceError(f"{fence.place}: language {fence.language!r} is neither run nor shown")
        known = not fence.comment.startswith("not run") or fence.reason is not None
        if not known:
            raise FenceError(f"{fence.place}: the comment does not say why it is not run")
    return found


def _fences(page: Path) -> Iterator[Fence]:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        start, marks = number, opening["marks"]
        number += 1
        while number < len(lines) and lines[number].strip() != marks:
            number += 1
        if number == len(lines):
            raise FenceError(f"{page}:{start + 1}: the fence is not closed")
        comment = _COMMENT.match(lines[start - 1]) if start else None
        yield Fence(
            page=page,
            line=start + 1,
            language=opening["language"],
            code=textwrap.dedent("\n".join(lines[start + 1 : number]) + "\n"),
            comment=comment["text"] if comment else "",
        )
        number += 1


def run(page: Path, languages: Set[str] = RUN) -> int:
    """Run the fences of a page in the current folder, and return how many there were.

    Raises
    ------
    FenceError
        One of them does not do what the page says.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    count = 0
    for fence in fences(page):
        if fence.language == "text" and fence.comment == "output":
            if printed is None:
                raise FenceError(f"{fence.place}: nothing before it has printed anything")
            compare(fence, printed, fence.code)
        if not fence.is_run or fence.language not in languages:
            continue
        count += 1
        if fence.language == "python":
            printed = _run_python(fence, namespace)
        else:
            _run_commands(fence)
    return count


def _run_python(fence: Fence, namespace: dict[str, Any]) -> str:
    # Empty lines in front, so that tracebacks name the line of the page.
    code = compile("\n" * fence.line + fence.code, str(fence.page), "exec")
    with redirect_stdout(io.StringIO()) as output:
        exec(code, namespace)
    return output.getvalue()


def _run_commands(fence: Fence) -> None:
    for command, expected in commands(fence):
        done = subprocess.run(
            ["bash", "-c", _PREAMBLE + command], capture_output=True, text=True, timeout=300
        )
        if (done.returncode != 0) != (fence.comment == "fails"):
            raise FenceError(
                f"{fence.place}: {command!r} ended with status {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        if expected is not None:
            shown = done.stdout if fence.comment != "fails" else done.stdout + done.stderr
            compare(fence, shown, expected)


def commands(fence: Fence) -> list[tuple[str, str | None]]:
    """Commands of a fence, each with the output it shall have; `None` where nothing is said."""
    if fence.language == "bash":
        return [(fence.code, None)]
    found: list[tuple[str, str | None]] = []
    for line in fence.code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], None))
        elif not found:
            raise FenceError(f"{fence.place}: output before the first command")
        elif line.startswith("> ") and found[-1][1] is None:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", None)
        else:
            command, output = found[-1]
            found[-1] = (command, (output or "") + line + "\n")
    return found


def compare(fence: Fence, printed: str, expected: str) -> None:
    """Compare output with what a page says of it.

    Raises
    ------
    FenceError
        They differ.
    """
    if not matches(printed, expected):
        raise FenceError(f"{fence.place}: expected\n{expected}\nbut this was printed:\n{printed}")


def matches(printed: str, expected: str) -> bool:
    """Whether output is as expected, but for spaces at ends of lines and where `...` stands."""
    parts = [re.escape(part) for part in _tidy(expected).split("...")]
    return re.fullmatch(".*".join(parts), _tidy(printed), flags=re.DOTALL) is not None


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip("\n")


def write_files(page: Path, folder: Path) -> list[str]:
    """Write the Python fences of a page that are files: their first line is `# NAME.py`.

    Returns
    -------
    list of str
        Their names, in the order of the page.
    """
    names = []
    for fence in fences(page):
        named = re.match(r"# (\w+\.py)\n", fence.code)
        if fence.language == "python" and named:
            (folder / named[1]).write_text(fence.code, encoding="utf-8")
            names.append(named[1])
    return names


def main(arguments: Sequence[str]) -> int:
    """Run the pages that are named."""
    for name in arguments:
        print(f"{name}: {run(Path(name))} fences ran")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
