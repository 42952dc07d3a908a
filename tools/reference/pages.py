"""Which pages of docs/reference have generated parts, and from what."""

from __future__ import annotations

from pathlib import Path

from tools.markdown import DOCS
from tools.reference.blocks import filled
from tools.reference.commands import command_blocks
from tools.reference.events import event_blocks
from tools.reference.settings import setting_blocks

GENERATED = {
    "commands.md": command_blocks,
    "settings.md": setting_blocks,
    "events.md": event_blocks,
}


def written(name: str) -> tuple[Path, str]:
    """Return a page and the text that it should have."""
    page = DOCS / "reference" / name
    return page, filled(page.read_text(encoding="utf-8"), GENERATED[name]())
