"""Whether this process passes over the permissions of files, as the superuser does."""

import os
import tempfile


def overrides_permissions() -> bool:
    """Return whether a file that nobody may read can be read here; root without capabilities cannot."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        return os.access(file.name, os.R_OK)
