"""Tables, columns, indexes and the rest of a schema: what most scripts are made of."""

from __future__ import annotations

from tests.faults.vocabulary.kind import kind

TYPES = {
    "sa.Integer": ["'7'", "sa.text('1 + 1')"],
    "sa.BigInteger": ["'9000000000'"],
    "sa.SmallInteger": ["'3'"],
    "sa.Numeric(12, 3)": ["'1.5'", "sa.text('round(2.5)')"],
    "sa.Float": ["'0.1'", "sa.text('2.5')"],
    "sa.String(40)": ["'it''s'", "'100% :x'", "sa.text(\"'a' || 'b'\")"],
    "sa.Text": ["'name'", "'%(x)s'"],
    "sa.Boolean": ["sa.true()", "'f'"],
    "sa.Date": ["'2024-02-29'", "sa.text(\"date '2020-01-01' + 5\")"],
    "sa.DateTime(timezone=True)": ["'2024-01-02 03:04:05+02'"],
    "sa.DateTime": ["'2024-01-02 03:04:05'"],
    "sa.Time": ["'03:04'"],
    "sa.Interval": ["'1 day'"],
    "sa.Uuid": ["'0b1c2d3e-0000-4000-8000-000000000001'"],
    "sa.JSON": ["'{\"a\": [1]}'"],
    "pg.JSONB": ["'[]'"],
    "sa.ARRAY(sa.Integer)": ["'{1,2}'"],
    "pg.ARRAY(sa.Text)": ["sa.text(\"ARRAY['x']\")"],
    "sa.LargeBinary": [r"'\\x00ff'"],
    "pg.INET": ["'10.0.0.1'"],
    "pg.INT4RANGE": ["'[1,3)'"],
}
COLUMNS = [
    f"sa.Column('<<column>>', {kind}, server_default={default}, nullable=<<bool>>)"
    for kind, defaults in TYPES.items()
    for default in defaults
] + [
    f"sa.Column('<<column>>', {kind})" for kind in TYPES
]  # fmt: skip
POOLS = {
    "column": ["a", "id2", "name", "user", "acme", "q_t", "Mixed Case", "delta", "order"],
    "bool": ["True", "False"],
    "look": ["op.get_bind().execute(sa.text('SELECT 1')).scalar()", "pass"],
    "any_column": COLUMNS,
    "new_column": [column.replace("<<column>>", "<<t>>") for column in COLUMNS],
    "old": ["thing.name", "thing.qty", "thing.amount"],
    "action": ["CASCADE", "SET NULL", "RESTRICT"],
    "method": ["btree", "hash"],
    "more": [", unique=True", ", postgresql_where=sa.text('id > 1')", "", ""],
}
PG = "from sqlalchemy.dialects import postgresql as pg"
KEY = "sa.Column('id', sa.Integer, primary_key=True)"

KINDS = [
    kind("a table", f"op.create_table('<<t>>', {KEY}, <<any_column>>)", head=PG, weight=6),
    kind("a column", "op.add_column('thing', <<new_column>>)", head=PG, weight=6),
    kind(
        "a column, filled and tightened",
        """
op.add_column('thing', sa.Column('<<t>>', sa.Text))
op.execute("UPDATE thing SET <<t>> = name || '-' || id")
op.alter_column('thing', '<<t>>', nullable=False, server_default='x', type_=sa.String(90))
""",
    ),
    kind(
        "a column made and dropped",
        "op.add_column('thing', sa.Column('<<t>>', sa.Integer))",
        "op.drop_column('thing', '<<t>>')",
    ),
    kind(
        "a table renamed",
        f"op.create_table('<<t>>', {KEY})\nop.rename_table('<<t>>', '<<t>>_new')",
        "op.drop_table('<<t>>_new')",
        weight=1,
    ),
    kind(
        "a type changed with USING",
        """
op.create_table('<<t>>', sa.Column('x', sa.Text, server_default='5'))
op.execute("INSERT INTO <<t>> VALUES ('12'), (DEFAULT)")
op.alter_column('<<t>>', 'x', server_default=None)
op.alter_column('<<t>>', 'x', type_=sa.Integer, postgresql_using='x::integer')
""",
    ),
    kind("an index", "op.create_index('<<t>>', 'thing', ['name', 'id']<<more>>)"),
    kind(
        "an index by method",
        "op.create_index('<<t>>', 'thing', ['name'], postgresql_using='<<method>>')",
    ),
    kind(
        "an index of an expression",
        "op.create_index('<<t>>', 'thing', [sa.text('lower(name)'), sa.text('(qty % 7)')])",
    ),
    kind(
        "an index concurrently",
        """
with op.get_context().autocommit_block():
    op.create_index('<<t>>', 'thing', ['qty'], postgresql_concurrently=True, if_not_exists=True)
""",
    ),
    kind("a check", "op.create_check_constraint('<<t>>', 'thing', \"name NOT LIKE '%%<<t>>.%%'\")"),
    kind("a unique", "op.create_unique_constraint('<<t>>', 'thing', ['id', 'name'])"),
    kind(
        "a foreign key",
        """
op.create_table('<<t>>', sa.Column('id', sa.Integer), sa.Column('thing_id', sa.Integer))
op.create_foreign_key('<<t>>_fk', '<<t>>', 'thing', ['thing_id'], ['id'], ondelete='<<action>>')
op.execute("INSERT INTO <<t>> SELECT id, id FROM thing")
""",
    ),
    kind(
        "an enum",
        """
mood = sa.Enum('sad', 'fine', name='<<t>>')
mood.create(op.get_bind(), checkfirst=True)
op.add_column('thing', sa.Column('<<t>>', mood, server_default='fine'))
""",
    ),
    kind(
        "an enum of a table, grown",
        "op.create_table('<<t>>', sa.Column('m', sa.Enum('a', 'b', name='<<t>>_e')))",
        "op.execute(\"ALTER TYPE <<t>>_e ADD VALUE 'c'\")",
        "op.execute(\"INSERT INTO <<t>> VALUES ('c')\")",
    ),
    kind(
        "an enum of two tables",  # Alembic remembers within a run that it has made the type
        "op.create_table('<<t>>', sa.Column('m', sa.Enum('a', 'b', name='<<t>>_e')))",
        "<<look>>\nop.create_table('<<t>>_2', sa.Column('m', sa.Enum('a', 'b', name='<<t>>_e')))",
    ),
    kind(
        "a batch",
        """
with op.batch_alter_table('thing') as batch:
    batch.add_column(sa.Column('<<t>>', sa.Integer, server_default='3'))
    batch.create_index('<<t>>_ix', ['<<t>>'])
    batch.alter_column('<<t>>', nullable=False)
""",
    ),
    kind(
        "a view and a comment",
        """
op.execute("CREATE VIEW <<t>> AS SELECT id, name FROM thing WHERE qty > <<small>>")
op.execute("COMMENT ON VIEW <<t>> IS 'acme''s name: 100% of it'")
op.create_table_comment('thing', "it's <<t>>")
""",
    ),
    kind(
        "a sequence and an identity",
        """
op.execute(sa.schema.CreateSequence(sa.Sequence('<<t>>_s', start=<<small>>)))
op.create_table('<<t>>', sa.Column('id', sa.BigInteger, sa.Identity(always=<<bool>>)),
                sa.Column('n', sa.Integer, sa.Computed('2 * 3')), sa.Column('x', sa.Text))
op.execute("INSERT INTO <<t>> (x) SELECT name FROM thing ORDER BY id")
op.execute("UPDATE <<t>> SET x = x || nextval('<<t>>_s')")
""",
    ),
    kind(
        "a partitioned table",
        """
op.create_table('<<t>>', sa.Column('k', sa.Integer), postgresql_partition_by='LIST (k)')
op.execute("CREATE TABLE <<t>>_1 PARTITION OF <<t>> FOR VALUES IN (1)")
op.execute("CREATE TABLE <<t>>_d PARTITION OF <<t>> DEFAULT; INSERT INTO <<t>> SELECT id FROM thing")
""",
    ),
]
