"""The functions of `_files.c`, each None where that was not built or does not know the system."""

try:
    from orchestra_creds.scanner import _files
except ImportError:
    walk = None
    fill = None
    hold = None
else:
    known = hasattr(_files, "walk")
    walk = _files.walk if known else None
    fill = _files.fill if known else None
    hold = _files.hold if known else None
