"""Write the generated parts of the pages anew."""

from __future__ import annotations

from tools.reference.pages import GENERATED, written

for name in GENERATED:
    page, text = written(name)
    if page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
        print(f"{name} was written anew")
