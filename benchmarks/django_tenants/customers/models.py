"""The tenants, in the shared schema."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):
    """A tenant; saving a new one makes its schema and migrates it."""

    id = models.BigAutoField(primary_key=True)
    auto_create_schema = True


class Domain(DomainMixin):
    """Asked for by django-tenants; nothing here has an address."""

    id = models.BigAutoField(primary_key=True)
