"""Credentials whose issuer has no API: a person stores the successor, the engine reminds, records and carries it on."""

from orchestra_creds.rotation.issuers.simple import VersionOnly


class ManualIssuer(VersionOnly):
    """A kind that is neither local nor remote: the machine never begins a rotation of it."""
