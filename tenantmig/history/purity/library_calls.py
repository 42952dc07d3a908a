"""What calling a library gives, where it is known."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.allowed import matches
from tenantmig.history.purity.handed import held_by
from tenantmig.history.purity.values import (
    BOX,
    ITERATOR,
    NOTHING,
    PLAIN,
    TENANT,
    Kind,
    Values,
    one,
    tells,
)

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

GIVES: dict[str, Values] = {
    "alembic.op.get_bind": one(Kind.CONNECTION),
    "alembic.context.get_bind": one(Kind.CONNECTION),
    "alembic.op.get_context": one(Kind.CONTEXT),
    "alembic.context.get_context": one(Kind.CONTEXT),
    "alembic.context.get_x_argument": TENANT,
    "alembic.context.get_tag_argument": TENANT,
    "alembic.context.is_offline_mode": PLAIN,
    "tenantmig.env.TenantEnv": one(Kind.TENANT, "environment"),
    "tenantmig.env.SharedEnv": one(Kind.TENANT, "environment"),
}
DATA_LIBRARIES = ("json.", "re.", "textwrap.", "itertools.", "hashlib.", "base64.", "binascii.",
                  "math.", "statistics.", "operator.", "string.", "os.path.", "copy.", "zlib.",
                  "urllib.", "collections.", "functools.reduce", "random.", "secrets.", "time.",
                  "uuid.", "datetime.", "decimal.", "fractions.", "typing.", "inspect.",
                  "contextlib.", "warnings.", "packaging.")  # fmt: skip
"""Libraries that make data of data."""
GIVES_TEXT = ("textwrap.*", "json.dumps", "base64.*", "binascii.*", "math.*", "re.escape",
              "re.sub", "os.path.*", "urllib.parse.quote", "inspect.cleandoc")  # fmt: skip
GIVES_DATA = ("json.loads", "re.split", "re.findall", "copy.*", "collections.OrderedDict",
              "collections.Counter")  # fmt: skip


def known_call(at: Expressions, path: str, given: Values) -> Values | None:
    """What functions of Alembic give that lead to the connection or tell the tenant."""
    if path in GIVES:
        if GIVES[path] == TENANT:
            at.findings.formats_tenant = True
        return GIVES[path]
    leads = any(v.kind in {Kind.CONNECTION, Kind.ENGINE} for v in given)
    return one(Kind.INSPECTOR) if path == "sqlalchemy.inspect" and leads else None


def made_of_data(at: Expressions, node: ast.Call, path: str, given: Values) -> Values:
    """What a library makes of data."""
    if tells(given):
        return at.asks(node, f"passes to {path}")
    if at.is_module:
        return _kept_data(path)
    if path in {"typing.cast", "contextlib.closing", "contextlib.nullcontext", "copy.copy"}:
        return given | PLAIN
    used_up = (
        {ITERATOR}
        if path.startswith("itertools.") or path in {"re.finditer", "collections.defaultdict"}
        else set()
    )
    is_new = path == "copy.deepcopy" or path.startswith(
        ("json.", "re.", "hashlib.", "base64.", "binascii.", "math.", "textwrap.")
    )
    return PLAIN | (given & {BOX}) | (NOTHING if is_new else held_by(given)) | used_up


def _kept_data(path: str) -> Values:
    """What a module holds that lets a library make data."""
    if matches(path, allowed.OF_MODULES):
        return one(Kind.SHARED, path)
    if matches(path, GIVES_TEXT):
        return one(Kind.CONSTANT, "immutable")
    return one(Kind.CONSTANT) if matches(path, GIVES_DATA) else one(Kind.STATE)
