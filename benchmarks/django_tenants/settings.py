"""The settings of a Django project with one schema per tenant, as django-tenants documents them."""

import os
from urllib.parse import unquote, urlsplit

DATABASE = urlsplit(os.environ["TENANTMIG_DATABASE_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "HOST": DATABASE.hostname,
        "PORT": DATABASE.port,
        "USER": unquote(DATABASE.username or ""),
        "PASSWORD": unquote(DATABASE.password or ""),
        "NAME": unquote(DATABASE.path[1:]),
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
SHARED_APPS = ["django_tenants", "django.contrib.contenttypes", "customers"]
TENANT_APPS = ["saas"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
TENANT_MODEL = "customers.Customer"
TENANT_DOMAIN_MODEL = "customers.Domain"
TENANT_MULTIPROCESSING_MAX_PROCESSES = int(os.environ.get("BENCHMARK_PROCESSES", "2"))

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
