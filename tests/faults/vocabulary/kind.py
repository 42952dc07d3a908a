"""A kind of code that a random script may hold, and how its gaps are filled by chance.

A gap is written `<<pool>>` and drawn anew each time; `<<t>>` is a name of the snippet's own,
`<<helper>>` its module beside the scripts, `<<n>>` the number of its script.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GAP = re.compile(r"<<([a-z_]+)>>")
Pools = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of code: what `upgrade()` does in one script, or in several that run in one go."""

    name: str
    up: tuple[str, ...]
    head: str = ""
    """Stands before `upgrade()` in each of its scripts."""
    helper: str = ""
    """Stands in a module beside the scripts."""
    env: str = ""
    """Stands in env.py, where `tenant` is known."""
    weight: int = 2
    is_last: bool = False
    """It may fail, so nothing comes after it."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Snippet:
    """A kind with its gaps filled."""

    kind: str
    up: tuple[str, ...]
    head: str
    helper: str
    env: str
    helper_name: str
    is_last: bool = False


def kind(name: str, *up: str, **more: object) -> Kind:
    """Return a kind; an empty line at the start of a text is dropped."""
    texts = {key: value.strip("\n") for key, value in more.items() if isinstance(value, str)}
    rest = {key: value for key, value in more.items() if not isinstance(value, str)}
    return Kind(name, tuple(text.strip("\n") for text in up), **texts, **rest)  # type: ignore[arg-type]


def fill(template: str, rng: random.Random, pools: Pools, names: Mapping[str, str]) -> str:
    """Fill the gaps of a template; what is drawn may have gaps itself."""

    def drawn(found: re.Match[str]) -> str:
        word = found[1]
        return names[word] if word in names else fill(rng.choice(pools[word]), rng, pools, names)

    return GAP.sub(drawn, template)


def snippet(kind: Kind, rng: random.Random, pools: Pools, names: Mapping[str, str]) -> Snippet:
    """Fill all gaps of a kind."""
    return Snippet(
        kind.name,
        tuple(fill(text, rng, pools, names) for text in kind.up),
        fill(kind.head, rng, pools, names),
        fill(kind.helper, rng, pools, names),
        fill(kind.env, rng, pools, names),
        names["helper"],
        kind.is_last,
    )
