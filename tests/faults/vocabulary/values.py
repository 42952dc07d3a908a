"""Values: rows in Python, typed parameters and literals, and expressions in which they differ."""

from __future__ import annotations

from tests.faults.vocabulary.kind import kind

VALUES = {
    "sa.Integer": ["0", "-7", "2**31 - 1", "None"],
    "sa.BigInteger": ["2**40", "-1", "None"],
    "sa.Float": ["0.1", "1e20", "-2.5", "float('nan')", "float('inf')", "3.0", "None"],
    "sa.Numeric(20, 5)": ["decimal.Decimal('1.10')", "decimal.Decimal('1E+3')", "2", "2.675"],
    "sa.Numeric": ["decimal.Decimal('0.1000')", "0.1", "1e-7", "123456789012.5", "None"],
    "sa.Text": [
        "\"it's\"", r"'back\\slash'", "'100%'", "'%(x)s :y'", "''", "'acme'", "None", "'ü\\n€'",
    ],
    "sa.String(30)": ["'name'", "'x' * 30"],
    "sa.Boolean": ["True", "False", "None"],
    "sa.Date": ["datetime.date(2024, 2, 29)", "datetime.date(1, 1, 1)"],
    "sa.DateTime": ["datetime.datetime(2024, 1, 2, 3, 4, 5, 678)"],
    "sa.DateTime(timezone=True)": [
        "datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc)",
        "datetime.datetime(2024, 7, 2, 3,"
        " tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30)))",
        "datetime.datetime(2024, 1, 2)",
    ],
    "sa.Time": ["datetime.time(3, 4)"],
    "sa.Interval": ["datetime.timedelta(days=1, seconds=3)", "datetime.timedelta(hours=-30)"],
    "sa.Uuid": ["uuid.UUID(int=5)", "uuid.UUID('0b1c2d3e-0000-4000-8000-000000000001')"],
    "sa.LargeBinary": [r"b'\x00\xff'", "b''", "b\"it's\""],
    "sa.JSON": ["{'a': [1, None, 0.1]}", "[]", "None", "'text'", "sa.null()"],
    "pg.JSONB": ["{'b': \"it's\", 'a': 1.0}", "[1.10]", "None"],
    "pg.ARRAY(sa.Integer)": ["[1, 2]", "[]", "None"],
    "pg.ARRAY(sa.Text)": ["['a', None, 'b,c']", "['{}']"],
    "pg.ARRAY(sa.Float)": ["[0.1, 2.0]"],
    "pg.INT4RANGE": ["'[1,5)'"],
    "pg.INET": ["'10.1.2.3'"],
}  # fmt: skip
IMPORTS = """
import datetime
import decimal
import uuid
from sqlalchemy.dialects import postgresql as pg
"""
NUMBERS = ["0.5", "2.5", "1.15", "1e3", "-0.05", "100.0", "0.1", "7", "2", "-3", "40000",
           "decimal.Decimal('2.5')", "decimal.Decimal('1.10')", "True"]  # fmt: skip
FLOATS = ["0.5", "2.5", "1.5", "3.5", "1.15", "0.1", "2.675", "1e3", "100.0"]
ON_FLOATS = [
    "round(:x)", "round(qty * :x)", "qty * :x", "'v' || :x", ":x || ''", "(:x)::text", "amount * :x",
    "pg_typeof(:x)::text", "concat(:x, '|')", "format('%s', :x)", "jsonb_build_array(:x)::text",
    "to_json(:x)::text", "greatest(:x, qty)", "coalesce(:x, qty)", "ceil(ratio + :x)", "trunc(:x)",
    "round((ratio * :x))", "ARRAY[:x]::text", "(:x + qty) / 3", "sqrt(:x * :x)::text",
    "avg(:x) OVER ()", "sum(qty * :x) OVER (ORDER BY id)", "max(:x) OVER ()", "- :x", "abs(-:x)",
    "CASE WHEN id > 1 THEN :x ELSE 0 END", "NULLIF(:x, 0)", "to_jsonb(ROW(:x))::text",
]  # fmt: skip
ON_INTEGERS = [
    ":x / 2", "7 / :x", "qty / :x", "'v' || :x", "pg_typeof(:x)::text", "(:x)::text",
    "amount / :x", "generate_series(1, :x)::text", "concat(:x, 1)", "jsonb_build_object('k', :x)",
    "2 ^ :x", "qty % :x", "coalesce(:x, 1)", "chr(60 + :x)", "power(:x, 2)", "repeat('a', :x)",
    "pg_typeof(:x * 1)::text", "sum(:x) OVER ()", "avg(:x) OVER ()", "sqrt(:x)", "left(name, :x)",
]  # fmt: skip
ON_TEXTS = [
    ":x || name", "upper(:x)", "name = :x", "length(:x)", "coalesce(name, :x)", "concat(name, :x || name)",
    "(:x)::text", "CAST(:x AS varchar(3))", "replace(name, 'a', :x)", "name LIKE '%' || :x || '%'",
    "split_part(name, :x, 1)", "position(:x in name)",
]  # fmt: skip
ON_DATES = [
    ":x + 1", "(:x)::text", "pg_typeof(:x)::text", "to_char(:x, 'YYYY.MM.DD')", "extract(dow FROM :x)",
    "date_trunc('month', :x)::text", "age(:x, date '2000-01-01')::text", "seen > :x", "'d' || :x",
    "coalesce(:x, seen)::text", "jsonb_build_array(:x)", "concat(:x, '')",
]  # fmt: skip
ON_TIMES = [
    "(:x)::text", "pg_typeof(:x)::text", "seen > :x", "to_char(:x, 'HH24:MI TZH')", "'d' || :x",
    "extract(epoch FROM :x)", "(:x AT TIME ZONE 'UTC')::text", "jsonb_build_array(:x)", "concat(:x)",
]  # fmt: skip
ON_OTHERS = ["(:x)::text", "pg_typeof(:x)::text", "concat(:x, '')", "jsonb_build_array(:x)::text"]
OTHERS = [
    "uuid.UUID(int=9)", "b'\\x00a'", "datetime.timedelta(days=2, hours=30)", "True",
    "datetime.time(3, 4)", "decimal.Decimal('1.50')", "[1, 2]", "[0.5, 1.0]",
    "ipaddress.ip_address('10.0.0.1')",
]  # fmt: skip
POOLS = {
    "float": FLOATS,
    "small": ["1", "2", "3", "5"],
    "number": NUMBERS,
    "on_float": ON_FLOATS,
    "on_integer": ON_INTEGERS,
    "on_text": ON_TEXTS,
    "text": ["'a'", '"it\'s"', "'100%'", r"'a\\b'", "'2024-01-01'", "'1'"],
    "on_date": ON_DATES,
    "date": ["datetime.date(2024, 2, 29)"],
    "on_time": ON_TIMES,
    "time": [
        "datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc)",
        "datetime.datetime(2024, 7, 2, 3, 4)",
    ],
    "on_other": ON_OTHERS,
    "other": OTHERS,
    "numeric_column": ["amount", "ratio", "qty"],
    "typed_values": [
        f"sa.Column('v', {kind}), | {value} | {other}"
        for kind, values in VALUES.items()
        for value, other in zip(values, (*values[1:], values[0]), strict=True)
    ],
}
BOUND = [
    "op.execute(sa.text({sql}).bindparams(x={value}))",
    "op.get_bind().execute(sa.text({sql}), {{'x': {value}}})",
    "op.get_bind().execute(sa.text({sql}), [{{'x': {value}}}, {{'x': {value}}}])",
    "op.get_context().connection.execute(sa.text({sql}), dict(x={value}))",
]
INTO = "\"INSERT INTO results SELECT '<<t>>', id, (<<on_{what}>>)::text FROM thing\""


def _expressions() -> list[str]:
    kinds = {"float": 5, "integer": 2, "text": 1, "date": 1, "time": 1, "other": 1}
    values = {"integer": "small"}
    return [
        how.format(sql=INTO.format(what=what), value=f"<<{values.get(what, what)}>>")
        for what, weight in kinds.items()
        for how in BOUND
        for _ in range(weight)
    ]


MODULES = IMPORTS + "import ipaddress\n"
KINDS = [
    kind("a bound expression", "<<expression>>", head=MODULES, weight=20),
    kind(
        "an update with a bound float",
        "op.execute(sa.text('UPDATE thing SET <<numeric_column>> = round(qty * :f)')"
        ".bindparams(f=<<float>>))",
    ),
    kind(
        "an update with a bound number",
        "op.get_bind().execute(sa.text('UPDATE thing SET <<numeric_column>> = qty + :f'),"
        " {'f': <<number>>})",
        head=IMPORTS,
    ),
    kind(
        "an update of a light table",
        """
things = sa.table('thing', sa.column('id', sa.Integer), sa.column('qty', sa.Integer),
                  sa.column('ratio', sa.Float), sa.column('name', sa.Text))
op.execute(things.update().where(things.c.id == <<small>>).values(ratio=things.c.qty * <<float>>))
op.execute(things.update().where(things.c.name.in_(['one', "it's"]))
           .values(name=things.c.name + <<text>>))
""",
        weight=3,
    ),
    kind(
        "an update of an untyped light table",
        """
things = sa.table('thing', sa.column('id'), sa.column('qty'), sa.column('ratio'))
op.execute(things.update().where(things.c.id >= <<small>>).values(ratio=sa.func.round(<<float>>)))
op.execute(things.update().values({'qty': sa.func.round(things.c.ratio * <<float>>)}))
""",
        weight=3,
    ),
    kind(
        "an insert from a select with literals",
        """
results = sa.table('results', sa.column('what'), sa.column('id'), sa.column('found'))
things = sa.table('thing', sa.column('id'), sa.column('qty'))
op.execute(results.insert().from_select(['what', 'id', 'found'], sa.select(
    sa.literal('<<t>>'), things.c.id, sa.cast(sa.func.round(<<float>> * 3), sa.Text))))
""",
    ),
    kind(
        "an untyped column of many rows",
        """
op.execute("CREATE TABLE <<t>> (n numeric, f float8, i bigint, t text, j jsonb)")
light = sa.table('<<t>>', *[sa.column(c) for c in ('n', 'f', 'i', 't')])
op.bulk_insert(light, [{'n': <<float>>, 'f': <<float>>, 'i': <<small>>, 't': <<text>>},
                       {'n': <<small>>, 'f': <<small>>, 'i': None, 't': None}])
""",
        weight=4,
    ),
    kind(
        "a literal column in an insert",
        """
light = sa.table('results', sa.column('what', sa.Text), sa.column('id', sa.Integer),
                 sa.column('found', sa.Text))
op.execute(light.insert().values(what='<<t>>', id=<<small>>, found=<<text>>))
op.execute(sa.insert(light).values([{'what': '<<t>>', 'id': 1, 'found': "%(a)s %s %%"},
                                    {'what': '<<t>>', 'id': 2, 'found': ':b'}]))
""",
    ),
    kind(
        "statements as text",
        """
op.execute("UPDATE thing SET name = name || '100% \\\\:x %(x)s' WHERE id = <<small>>")
op.execute('''INSERT INTO results SELECT '<<t>>', id, CASE WHEN qty > 2 THEN E'a\\\\nb' END
              FROM thing''')
op.execute("DELETE FROM results WHERE found IS NULL AND what = '<<t>>'")
""",
        weight=3,
    ),
]
POOLS["expression"] = _expressions()
ROWS = [
    kind(
        f"rows of {type_} ({n})",
        f"""
made = op.create_table('<<t>>', sa.Column('id', sa.Integer), sa.Column('v', {type_}))
op.bulk_insert(made, [{{'id': 1, 'v': {value}}}, {{'id': 2, 'v': {other}}}]{more})
op.execute(made.insert().values(id=3, v={value}))
op.execute(made.update().where(made.c.id == 2).values(v={value}))
""",
        head=IMPORTS,
        weight=1,
    )
    for type_, values in VALUES.items()
    for n, (value, other) in enumerate(zip(values, (*values[1:], values[0]), strict=True))
    for more in ("", ", multiinsert=False")[n % 2 : n % 2 + 1]
]
