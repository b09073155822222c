"""The project of the embedded cloud where nothing names one."""

DEFAULT_PROJECT = "demo-project"
