"""What one tenant schema holds at head, as the application sees it.

Nothing is qualified with a schema: the tenant schema comes from `search_path`. The view
`project_progress` and the trigger that fills `task_events` exist in the history only.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine


class TaskStatus(enum.Enum):
    """Where a task stands; the order is the order of the board's columns."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    DONE = "done"


def task_status() -> Enum:
    """The type of a status; made at each column, since SQLAlchemy 2.0.8 gives one in
    `type_annotation_map` another name.
    """
    return Enum(
        TaskStatus,
        name="task_status",
        values_callable=lambda statuses: [status.value for status in statuses],
    )


class Base(DeclarativeBase):
    """Gives every constraint and index the name that the history gave it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[type, TypeEngine[Any]]] = {
        int: BigInteger(),
        datetime: DateTime(timezone=True),
    }


class User(Base):
    """Somebody who signs in (through single sign-on) and is assigned tasks."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email LIKE '%_@_%'", name="email_has_at"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    display_name: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    time_zone: Mapped[str] = mapped_column(String(63), server_default="UTC")


class Project(Base):
    """A list of tasks under one name, unique among its owner's projects until it is archived."""

    __tablename__ = "projects"
    __table_args__ = (
        Index(None, "owner_id", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(String(200))
    archived_at: Mapped[datetime | None]

    tasks: Mapped[list[Task]] = relationship(back_populates="project", passive_deletes=True)
    invoices: Mapped[list[Invoice]] = relationship(back_populates="project")


task_labels = Table(
    "task_labels",
    Base.metadata,
    Column("task_id", ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Task(Base):
    """A piece of work in a project."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 1 AND 5", name="priority_in_range"),
        Index(None, "project_id", "status"),
        Index(None, "due_on", postgresql_where=text("status <> 'done'")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    assignee_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    title: Mapped[str] = mapped_column(String(200))
    status: Mapped[TaskStatus] = mapped_column(task_status(), server_default="todo")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="3")
    estimate: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    tags: Mapped[str] = mapped_column(Text, server_default="")  # superseded by labels
    due_on: Mapped[date | None]

    project: Mapped[Project] = relationship(back_populates="tasks")
    labels: Mapped[list[Label]] = relationship(secondary=task_labels, back_populates="tasks")


class Label(Base):
    """A word that groups tasks across projects."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)

    tasks: Mapped[list[Task]] = relationship(secondary=task_labels, back_populates="labels")


class TaskEvent(Base):
    """One change of a task's status; written by a trigger, never by the application."""

    __tablename__ = "task_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    old_status: Mapped[TaskStatus] = mapped_column(task_status())
    new_status: Mapped[TaskStatus] = mapped_column(task_status())
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Invoice(Base):
    """A bill for a project, in the tenant's currency."""

    __tablename__ = "invoices"
    __table_args__ = (
        CheckConstraint("status IN ('draft', 'sent', 'paid', 'void')", name="status_known"),
        CheckConstraint("total_cents >= 0", name="total_not_negative"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="RESTRICT"), index=True
    )
    number: Mapped[str] = mapped_column(String(20), unique=True)
    status: Mapped[str] = mapped_column(String(10), server_default="draft")
    issued_on: Mapped[date] = mapped_column(server_default=text("CURRENT_DATE"))
    total_cents: Mapped[int]
    due_on: Mapped[date] = mapped_column(server_default=text("CURRENT_DATE + 30"))

    project: Mapped[Project] = relationship(back_populates="invoices")
