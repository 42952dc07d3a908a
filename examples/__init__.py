"""Applications that show tenantmig at work; not installed with the package."""
