"""The functions of `_native.c`, each None where that was not built.

Imports nothing else: the first look at staged changes reads it.
"""

try:
    from orchestra_creds.scanner import _native
except ImportError:
    survey = None
    apply = None
    hex_ends = None
    count_breaks = None
else:
    survey = _native.survey
    apply = _native.apply
    hex_ends = _native.hex_ends
    count_breaks = _native.count_breaks
