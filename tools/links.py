"""Check the links of all Markdown pages, and the pages that messages and comments name.

`python -m tools.links` prints each broken one and exits with 1 if there is any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.markdown import REPOSITORY, anchors, landing, links

NAMED = re.compile(r"(?<![\w/.])docs/[\w/-]+\.(?:md|svg)")
FOLDERS = ("tenantmig", "tests", "tools", "benchmarks", "examples", "alembic")

_anchors = cache(anchors)


def broken_links() -> list[str]:
    """Return each broken link and each missing page, with its file and line."""
    return [*_broken_in_pages(), *_broken_in_code()]


def pages() -> list[Path]:
    """Return the Markdown pages that Git knows or would add."""
    return _files("*.md")


def _broken_in_pages() -> Iterator[str]:
    for page in pages():
        for link in links(page):
            place = f"{page.relative_to(REPOSITORY)}:{link.line}: {link.target}"
            if not link.path.is_relative_to(REPOSITORY):
                yield f"{place}: leads out of the repository"
            elif not link.path.exists():
                yield f"{place}: there is no such file"
            elif landing(link.path) is None:
                yield f"{place}: the folder has no README.md to show"
            elif link.anchor and link.anchor not in _anchors(link.path):
                yield f"{place}: the page has no such heading"


def _broken_in_code() -> Iterator[str]:
    for path in _files(*(f"{folder}/*.py" for folder in FOLDERS)):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in NAMED.findall(line):
                if not (REPOSITORY / name).is_file():
                    yield f"{path.relative_to(REPOSITORY)}:{number}: {name}: there is no such file"


def _files(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = [REPOSITORY / name for name in sorted(set(listed.stdout.split("\0"))) if name]
    return [path for path in paths if path.is_file()]


if __name__ == "__main__":
    found = broken_links()
    print("\n".join(found) if found else f"The links of {len(pages())} pages are sound.")
    sys.exit(1 if found else 0)
