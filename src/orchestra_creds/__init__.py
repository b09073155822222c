"""orchestra-creds: the whole life of a Google Cloud credential. Imports nothing, so that `--version` costs nothing."""

__version__ = "0.1.0"
