"""A page that is run goes red where a command or an output on it is wrong. No database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.errors import TenantmigError
from tests.fixtures.pages import empty_project, run_page, walk
from tests.fixtures.setup_lines import check_setup

PAGE = """\
```python
# greet.py
print("Run 1: upgrade to 0002, 2 of 2 tenants, 2 at once")
print("1/2 tenants, 0.3/s, 0 failed")
print("3/4 revisions, about 2 s left")
print("2/2 tenants, 0.5/s, 0 failed")
print("acme   0.52")
```

```console
$ python greet.py
Run 1: upgrade to 0002, 2 of 2 tenants, 8 at once
2/2 tenants, 79.8/s, 0 failed
acme  0.07

$ ls missing 2> errors    # exit code 2
$ cat errors
…cannot access 'missing': …
```
"""
WRONG = [
    ("python greet.py", "python great.py"),
    ("upgrade to 0002, 2 of 2 tenants, 8", "upgrade to 0003, 2 of 2 tenants, 8"),
    ("2/2 tenants, 79.8/s, 0 failed\n", ""),
    ("acme  0.07\n", "acme  0.07\nbeta  0.07\n"),
    ("    # exit code 2", ""),
    ("…cannot access 'missing': …\n", ""),
    ("…cannot", "cannot"),
]


def test_times_rates_and_cores_may_differ(tmp_path: Path) -> None:
    assert len(run_page(PAGE, empty_project(tmp_path, ""))) == 3


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_what_is_wrong_on_a_page_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    before, found, after = PAGE.rpartition(right)
    assert found
    page = before + wrong + after
    with pytest.raises(AssertionError):
        run_page(page, empty_project(tmp_path, ""))


def test_only_what_differs_is_written_anew(tmp_path: Path) -> None:
    stale = PAGE.replace("to 0002, 2 of 2 tenants, 8", "to 0003, 2 of 2 tenants, 8")
    stale = stale.replace("    # exit code 2", "")
    done = walk(stale, empty_project(tmp_path, ""), lambda _: None)
    assert "0002, 2 of 2 tenants, 2 at once\n2/2" in done
    assert "…cannot access" in done
    (tmp_path / "again").mkdir()
    run_page(done, empty_project(tmp_path / "again", ""))


@pytest.mark.parametrize(
    "line",
    [
        "mkdir shop && cd shop",
        "pip install 'tenantmig[embedded]' flask   # a wheel",
        "export TENANTMIG_DATABASE_URL=postgresql://app@localhost:5432/app",
        "export TENANTMIG_DATABASE_URL=embedded://$PWD/pg",
    ],
)
def test_a_line_of_the_setup_is_known(line: str) -> None:
    check_setup(line)


@pytest.mark.parametrize(
    "line",
    [
        "pip install 'tenantmig[embeded]'",
        "export TENANTMIG_DATABASE=postgresql://app@localhost:5432/app",
        "export TENANTMIG_DATABASE_URL=mysql://app@localhost/app",
        "tenantmig status",
    ],
)
def test_a_wrong_line_of_the_setup_is_found(line: str) -> None:
    with pytest.raises((AssertionError, TenantmigError)):
        check_setup(line)
