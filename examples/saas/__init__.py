"""A small project-planning product, whose history is in `alembic/versions`."""
