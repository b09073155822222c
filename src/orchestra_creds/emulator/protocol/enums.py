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
_LABEL_NAMES: Mapping[str, tuple[str, ...]] = {"valueType": ("STRING", "BOOL", "INT64")}
"""The same for a descriptor of a label (google.api.LabelDescriptor), which has a `valueType` of its own."""
_USERS = frozenset({"labels", "userLabels", "annotations"})
"""Fields whose content is the user's; a list of `labels` holds descriptors."""


def name_enums(value: Any, names: Mapping[str, tuple[str, ...]] = _NAMES) -> Any:
    """Return the JSON value with the numbers of known enums replaced by their names; unknown numbers stay."""
    if isinstance(value, list):
        return [name_enums(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {field: _name_enum(field, inner, names) for field, inner in value.items()}


def _name_enum(field: str, value: Any, names: Mapping[str, tuple[str, ...]]) -> Any:
    if field in _USERS:
        return name_enums(value, _LABEL_NAMES) if isinstance(value, list) else value
    if type(value) is int and 0 <= value < len(names.get(field, ())):
        return names[field][value]
    return name_enums(value, names)
