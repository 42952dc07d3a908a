"""Random histories: about twenty small scripts from one seed, written by chance.

The same seed gives the same history. What scripts are made of is in `vocabulary/`; each piece is
called by a name of its own (`t7a`), which stands in what it writes, so that a difference in the
result names its cause. Not Hypothesis: its search gains nothing where an example takes seconds, and
leaving out pieces by those names finds the cause in two or three runs.
"""

from __future__ import annotations

import pprint
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.vocabulary import connections, sessions, state, tables, tenants, values
from tests.faults.vocabulary.kind import Kind, Snippet, snippet
from tests.faults.vocabulary.tenants import TENANTS
from tests.fixtures.command import REPOSITORY
from tests.fixtures.history import SCRIPT

SCRIPTS = 20
POOLS = tables.POOLS | values.POOLS | tenants.POOLS | state.POOLS | sessions.POOLS
GROUPS = {
    "tables": tables.KINDS,
    "values": values.KINDS,
    "rows": values.ROWS,
    "tenants": tenants.KINDS,
    "state": state.KINDS,
    "sessions": sessions.KINDS + connections.KINDS,
}
SHARES = [
    {"tables": 3, "values": 4, "rows": 4, "tenants": 0, "state": 0, "sessions": 0},
    {"tables": 2, "values": 3, "rows": 2, "tenants": 3, "state": 3, "sessions": 4},
    {"tables": 1, "values": 2, "rows": 1, "tenants": 3, "state": 3, "sessions": 4},
]
"""How often an example takes a piece from each group: by turns calm, mixed and wild."""
LONGEST_GO = 5  # scripts that are upgraded in one go
ENV_ANCHOR = "\n\ndef run_migrations_online"
FIRST = "r00"  # where the tenants are before


@dataclass(frozen=True)
class History:
    """A history as text, where the upgrades stop, and which tenants go first."""

    scripts: Mapping[str, tuple[str, str]]
    """What stands before `upgrade()` and in it, by revision."""
    goals: Sequence[str]
    canary: Sequence[str] = ("acme", "name")
    helpers: Mapping[str, str] = field(default_factory=dict)
    env: str = ""


@dataclass(frozen=True)
class Piece:
    """A snippet and the scripts in which it stands, one for each of its parts."""

    name: str
    snippet: Snippet
    scripts: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """The pieces of a seed."""

    seed: int
    pieces: tuple[Piece, ...]
    stops: tuple[int, ...]
    canary: tuple[str, ...]

    @property
    def numbers(self) -> list[int]:
        """The numbers of its scripts."""
        return sorted({number for piece in self.pieces for number in piece.scripts})

    def only(self, pieces: Sequence[Piece]) -> Example:
        """The same with fewer pieces."""
        return replace(self, pieces=tuple(pieces))

    @property
    def history(self) -> History:
        """What Alembic runs."""
        snippets = [piece.snippet for piece in self.pieces]
        last = {max((n for n in self.numbers if n <= stop), default=0) for stop in self.stops}
        return History(
            {_revision(number): self._script(number) for number in self.numbers},
            [_revision(number) for number in sorted(last) if number],
            self.canary,
            {s.helper_name: s.helper for s in snippets if s.helper},
            "\n".join(dict.fromkeys(s.env for s in snippets if s.env)),
        )

    def _script(self, number: int) -> tuple[str, str]:
        parts = [piece for piece in self.pieces if number in piece.scripts]
        heads = dict.fromkeys(p.snippet.head for p in parts if p.snippet.head)
        up = "\n".join(p.snippet.up[p.scripts.index(number)] for p in parts)
        return "\n".join(heads), up

    @property
    def text(self) -> str:
        """What to look at, and below it what to keep in `kept_scripts.py`."""
        what = ", ".join(f"{piece.name} is {piece.snippet.kind}" for piece in self.pieces)
        history = self.history
        shown = "\n\n".join(
            [f"{name}.py\n{text}" for name, text in history.helpers.items()]
            + ["\n".join((name, *texts)) for name, texts in history.scripts.items()]
            + ([f"env.py\n{history.env}"] if history.env else [])
        )
        kept = pprint.pformat(history, width=100, sort_dicts=False)
        return f"seed {self.seed}: {what}\n\n{shown}\n\n{kept}"


def _revision(number: int) -> str:
    return f"r{number:02}"


def generate(seed: int, scripts: int = SCRIPTS) -> Example:
    """Make the example of a seed."""
    rng = random.Random(f"tenantmig {seed}")  # noqa: S311
    share = SHARES[seed % len(SHARES)]
    pieces: list[Piece] = []
    joined: set[int] = set()  # after these, no stop
    number = 0
    while number < scripts:
        kind = _choose(rng, share, lambda kind: not kind.is_last)
        numbers = tuple(range(number + 1, number + 1 + len(kind.up)))
        pieces.append(_piece(kind, rng, numbers, "a", seed))
        if rng.random() < 0.3:
            more = _choose(rng, share, lambda kind: not kind.is_last and len(kind.up) == 1)
            pieces.append(_piece(more, rng, numbers[-1:], "b", seed))
        joined.update(numbers[:-1])
        number = numbers[-1]
    stops = list(_stops(rng, number, joined))
    if share["sessions"] and rng.random() < 0.3:
        number += 1
        last = rng.choice([kind for kind in GROUPS["sessions"] if kind.is_last])
        pieces.append(_piece(last, rng, (number,), "c", seed))
        stops.append(number)
    canary = tuple(rng.sample(sorted(TENANTS), 2))
    return Example(seed, tuple(pieces), tuple(stops), canary)


def _choose(rng: random.Random, share: dict[str, int], fits: Callable[[Kind], bool]) -> Kind:
    (group,) = rng.choices(list(share), list(share.values()))
    kinds = [kind for kind in GROUPS[group] if fits(kind)]
    return rng.choices(kinds, [kind.weight for kind in kinds])[0]


def _piece(
    kind: Kind, rng: random.Random, numbers: tuple[int, ...], letter: str, seed: int
) -> Piece:
    name = f"t{numbers[0]}{letter}"
    names = {"t": name, "n": str(numbers[0]), "helper": f"helper_{seed}_{name}"}
    return Piece(name, snippet(kind, rng, POOLS, names), numbers)


def _stops(rng: random.Random, last: int, joined: set[int]) -> Iterator[int]:
    stop = 0
    while stop < last:
        stop = min(last, stop + rng.randint(1, LONGEST_GO))
        while stop in joined:
            stop += 1
        yield stop


def write(history: History, folder: Path) -> None:
    """Write a history into a folder, with the env.py of `tenantmig init`."""
    (folder / "versions").mkdir(parents=True)
    env = (REPOSITORY / "tenantmig" / "history" / "templates" / "env.py.txt").read_text()
    assert ENV_ANCHOR in env
    added = f"\n{history.env}{ENV_ANCHOR}" if history.env else ENV_ANCHOR
    (folder / "env.py").write_text(env.replace(ENV_ANCHOR, added, 1))
    for name, text in history.helpers.items():
        (folder / f"{name}.py").write_text(text + "\n")
    parent = None
    for name, (head, up) in {FIRST: ("", "pass"), **history.scripts}.items():
        text = SCRIPT.format(
            revision=name,
            parent=parent,
            depends_on=None,
            upgrade=up.replace("\n", "\n    "),
            downgrade="pass",
        )
        with_head = text.replace("\nrevision = ", f"{head}\n\nrevision = ", 1)
        (folder / "versions" / f"{name}.py").write_text(with_head)
        parent = name
