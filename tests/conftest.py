"""What holds for every test: no example of a property is too slow, for a machine may be busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("sslbroker", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() == "default":  # a CI service gets hypothesis' own, the same each time
    settings.load_profile("sslbroker")
