"""Onboard tenants: python onboard.py standard|multiprocessing NAME...

`standard` saves one tenant after the other, which makes its schema and migrates it. For
`multiprocessing` the schemas are made bare, and then migrated by one command.
"""

import os
import sys

import django
from django.core.management import call_command
from django.db import connection
from psycopg import sql

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from customers.models import Customer  # noqa: E402  not before Django is set up


def main(executor: str, names: list[str]) -> None:
    for name in names:
        customer = Customer(schema_name=name)
        customer.auto_create_schema = executor == "standard"
        customer.save(verbosity=0)
        if executor != "standard":
            statement = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name))
            with connection.cursor() as cursor:
                cursor.execute(statement)
    if executor != "standard":
        call_command("migrate_schemas", tenant=True, executor=executor, verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
