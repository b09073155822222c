"""Enums of the REST-only services that come as numbers, as proto3 JSON allows and the Python clients send them."""

from collections.abc import Mapping
from typing import Any

_NAMES: Mapping[str, tuple[str, ...]] = {
    "combiner": ("COMBINE_UNSPECIFIED", "AND", "OR", "AND_WITH_MATCHING_RESOURCE"),
    "comparison": (
        "COMPARISON_UNSPECIFIED", "COMPARISON_GT", "COMPARISON_GE", "COMPARISON_LT", "COMPARISON_LE", "COMPARISON_EQ",
        "COMPARISON_NE",
    ),
    "executionEnvironment": (
        "EXECUTION_ENVIRONMENT_UNSPECIFIED", "EXECUTION_ENVIRONMENT_GEN1", "EXECUTION_ENVIRONMENT_GEN2",
    ),
    "httpMethod": ("HTTP_METHOD_UNSPECIFIED", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"),
    "launchStage": (
        "LAUNCH_STAGE_UNSPECIFIED", "EARLY_ACCESS", "ALPHA", "BETA", "GA", "DEPRECATED", "UNIMPLEMENTED", "PRELAUNCH",
    ),
    "metricKind": ("METRIC_KIND_UNSPECIFIED", "GAUGE", "DELTA", "CUMULATIVE"),
    "severity": ("SEVERITY_UNSPECIFIED", "CRITICAL", "ERROR", "WARNING"),
    "valueType": ("VALUE_TYPE_UNSPECIFIED", "BOOL", "INT64", "DOUBLE", "STRING", "DISTRIBUTION", "MONEY"),
}  # fmt: skip
"""Field -> the names of its values by number (Run v2, Scheduler v1, Monitoring v3 and google.api in googleapis)."""
_OTHER = frozenset({"labels", "userLabels", "annotations"})
"""Fields whose content is the user's, or has a `valueType` of another enum."""


def name_enums(value: Any) -> Any:
    """Return the JSON value with the numbers of known enums replaced by their names; unknown numbers stay."""
    if isinstance(value, list):
        return [name_enums(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        field: inner if field in _OTHER else _NAMES[field][inner] if _is_number(field, inner) else name_enums(inner)
        for field, inner in value.items()
    }


def _is_number(field: str, value: Any) -> bool:
    return type(value) is int and 0 <= value < len(_NAMES.get(field, ()))
