"""Names with a meaning of their own: those of files that change what a scan reports, and of standard input.

Imports nothing: the first look at staged changes reads them.
"""

STDIN = "-"
"""The path that stands for standard input."""

BASELINE_FILE = ".orchestra-creds-baseline.json"
GITLEAKS_CONFIG = ".gitleaks.toml"
GITLEAKS_IGNORE = ".gitleaksignore"
LARGEST_BASELINE = 16 << 20
"""Bytes of a baseline that nobody named and a scan still reads: 50,000 accepted findings."""

LARGEST_SETTINGS = 256 << 10
"""Bytes of a file of settings in TOML that nobody named and a scan still reads."""

SETTINGS_OF_A_SCAN = (GITLEAKS_CONFIG, GITLEAKS_IGNORE, BASELINE_FILE)
"""All files of a scanned folder that change what its scan reports."""
