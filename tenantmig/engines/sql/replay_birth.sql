-- A tenant is registered as `onboarding`; its schema and its version table are created.
INSERT INTO {ledger}.tenant (name, schema, state, labels)
VALUES ({name}, {schema}, 'onboarding', {labels});
CREATE SCHEMA {identifier} {owner};
CREATE TABLE {table} (version_num varchar({length}) NOT NULL, CONSTRAINT {key} PRIMARY KEY (version_num))
