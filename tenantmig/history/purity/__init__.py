"""Purity: what is proved of a revision from its code alone, before anything is run.

A revision is pure if its code can give no other result for having run in a process that has served
another tenant, and if it sends every tenant the same but for the schema's name. What is not proved
runs with Alembic in a process that has seen no other tenant. Nothing here runs a script.
"""

from tenantmig.history.purity.importing import Imported
from tenantmig.history.purity.proof import EnvironmentProof, Proof, Purity

__all__ = ["EnvironmentProof", "Imported", "Proof", "Purity"]
