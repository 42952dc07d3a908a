"""Tenants: the registry, the five sources of the fleet, and creating and dropping a tenant.

Knows no engine and no rollout.
"""
