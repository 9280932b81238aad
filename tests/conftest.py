"""Settings that every test shares."""

import os

from hypothesis import settings

# On CI the same examples in every run: a landing must not depend on luck. At home hypothesis keeps searching.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
