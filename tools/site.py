"""Build the documents as a site in `build/site`; `python -m tools.site` is `make docs`.

The pages are written for a Git host, where `../../examples/signup.py` is a link like any other. A
site has no such file. So the pages are copied to `build/docs` first, and each file outside of
`docs/` that a page links to becomes a page of the site, under `repository/`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.links import broken_links, pages
from tools.markdown import DOCS, REPOSITORY, landing, links

CONFIG = REPOSITORY / "zensical.toml"
STAGED = REPOSITORY / "build" / "docs"
SITE = REPOSITORY / "build" / "site"
REQUEST = re.compile(
    r"<(?:script|img|iframe)\b[^>]*\bsrc=\"https?:[^\"]*|<link\b[^>]*\bhref=\"https?:[^\"]*"
)
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".ini": "ini", ".sql": "sql"}


def main() -> int:
    """Check the pages, build the site, and return the exit code."""
    found = [*broken_links(), *_missing_in_nav()]
    if not found:
        _stage()
        shutil.rmtree(SITE, ignore_errors=True)
        zensical = Path(sys.executable).with_name("zensical")
        command = [str(zensical), "build", "--strict", "--clean", "--config-file", str(CONFIG)]
        if subprocess.run(command, cwd=REPOSITORY, check=False).returncode:
            return 1
        found = list(_requests())
    print("\n".join(found) if found else f"The site is in {SITE.relative_to(REPOSITORY)}.")
    return 1 if found else 0


def _missing_in_nav() -> Iterator[str]:
    """Yield the entries of nav without a page, and the pages without an entry."""
    nav = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]
    named = set(_entries(nav))
    there = {str(page.relative_to(DOCS)) for page in pages() if page.is_relative_to(DOCS)}
    yield from (f"zensical.toml: nav: there is no docs/{name}" for name in sorted(named - there))
    yield from (f"zensical.toml: nav: docs/{name} is missing" for name in sorted(there - named))


def _entries(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from (name for one in nav.values() for name in _entries(one))
    elif isinstance(nav, list):
        yield from (name for one in nav for name in _entries(one))


def _stage() -> None:
    """Copy the documents to `build/docs`, and what they link to in the repository."""
    shutil.rmtree(STAGED, ignore_errors=True)
    queue = [path for path in DOCS.rglob("*") if path.is_file()]
    done = set(queue)
    while queue:
        path = queue.pop()
        staged = STAGED / _place(path)
        staged.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            linked = _write_page(path, staged)
            queue += linked - done
            done |= linked
        elif path.is_relative_to(DOCS):
            shutil.copy(path, staged)
        else:
            staged.write_text(_shown(path), encoding="utf-8")


def _write_page(page: Path, staged: Path) -> set[Path]:
    """Write a page whose links lead to staged files; return the files of the repository."""
    text = page.read_text(encoding="utf-8")
    found = set()
    for link in reversed(list(links(page))):
        path = landing(link.path)
        assert path is not None
        inside = page.is_relative_to(DOCS) and path.is_relative_to(DOCS)
        if inside or path == page:
            continue
        if not path.is_relative_to(DOCS):
            found.add(path)
        target = os.path.relpath(STAGED / _place(path), staged.parent)
        target += f"#{link.anchor}" if link.anchor else ""
        text = text[: link.start] + target + text[link.start + len(link.target) :]
    staged.write_text(text, encoding="utf-8")
    return found


def _place(path: Path) -> Path:
    """Return where a file lies in the staged documents."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    place = Path("repository") / path.relative_to(REPOSITORY)
    return place if place.suffix == ".md" else place.with_name(place.name + ".md")


def _shown(path: Path) -> str:
    """Return a page that shows a file of the repository."""
    language = LANGUAGES.get(path.suffix, "text")
    text = path.read_text(encoding="utf-8")
    return f"# {path.relative_to(REPOSITORY)}\n\n~~~~~~ {language}\n{text}~~~~~~\n"


def _requests() -> Iterator[str]:
    """Yield what the built pages fetch from elsewhere: they must be readable without a network."""
    for page in SITE.rglob("*.html"):
        for found in REQUEST.findall(page.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in found:
                yield f"{page.relative_to(REPOSITORY)}: asks another site: {found}"


if __name__ == "__main__":
    sys.exit(main())
