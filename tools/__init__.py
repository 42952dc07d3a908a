"""Programs that write and check the documents; no part of the package."""
