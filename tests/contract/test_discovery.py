"""The check of REST exchanges sees what is wrong: each kind of mistake, in a request and in a reply, is reported."""

import json
from typing import Any

import pytest

from orchestra_creds.gcp.api import Api
from tests.contract import discovery, exchanges
from tests.contract.conftest import PROJECT, CloudUnderTest

ACCOUNTS = f"v1/projects/{PROJECT}/serviceAccounts"
METRIC = f"v2/projects/{PROJECT}/metrics/made"
PROVIDER = f"v1/projects/{PROJECT}/locations/global/workloadIdentityPools/pool/providers"
FILTER = {"name": "made", "filter": "severity=ERROR"}

WRONG_REQUESTS: dict[str, tuple[str, str, str, dict[str, Any], object]] = {
    "nonsense: no such method": ("iam", "GET", "v1/projects/demo-project/nonsense", {}, None),
    "iam.v7: request GET v7/projects/demo-project: no such method": ("iam", "GET", "v7/projects/demo-project", {}, None),
    "request PUT v1/projects/demo-project/serviceAccounts: no such method": ("iam", "PUT", f"{ACCOUNTS}", {}, {}),
    "unknown parameter": ("iam", "GET", ACCOUNTS, {"size": "1"}, None),
    "not an integer": ("iam", "GET", ACCOUNTS, {"pageSize": "ten"}, None),
    "above the maximum of 100": ("iam", "GET", ACCOUNTS, {"pageSize": "101"}, None),
    "not a boolean": ("iam", "GET", PROVIDER, {"showDeleted": "yes"}, None),
    "query view: not a value of the enumeration": ("iam", "GET", "v1/projects/p/roles", {"view": "ALL"}, None),
    "query pageSize: given twice": ("iam", "GET", ACCOUNTS, {"pageSize": ["1", "2"]}, None),
    "mask names disabeld, which is no field": (
        "iam",
        "PATCH",
        f"{PROVIDER}/github",
        {"updateMask": "disabeld"},
        {"disabled": True},
    ),
    "body.updateMask: mask names mail": ("iam", "PATCH", f"{ACCOUNTS}/a", {}, {"updateMask": "mail"}),
    "query project: required, and missing": ("storage", "GET", "storage/v1/b", {}, None),
    "body: the method takes none": ("iam", "GET", ACCOUNTS, {}, {}),
    "body.colour: unknown field": ("logging", "PUT", METRIC, {}, {**FILTER, "colour": "red"}),
    "body.disabled: str, not of type boolean": ("logging", "PUT", METRIC, {}, {**FILTER, "disabled": "yes"}),
    "body.filter: null, not a string": ("logging", "PUT", METRIC, {}, {**FILTER, "filter": None}),
    "body.filter: required, and missing": ("logging", "PUT", METRIC, {}, {"name": "made"}),
    "body.createTime: output only": ("logging", "PUT", METRIC, {}, {**FILTER, "createTime": "2026-01-01T00:00:00Z"}),
    "body.metricDescriptor.metricKind: not a value of the enumeration": (
        "logging", "PUT", METRIC, {}, {**FILTER, "metricDescriptor": {"metricKind": "RISING"}},
    ),
    "body.scope: str, not an array": (
        "iamcredentials", "POST", "v1/projects/-/serviceAccounts/a:generateAccessToken", {}, {"scope": "all"},
    ),
    "body.lifetime: not of format google-duration": (
        "iamcredentials",
        "POST",
        "v1/projects/-/serviceAccounts/a:generateAccessToken",
        {},
        {"scope": [], "lifetime": "1 hour"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("problem", WRONG_REQUESTS)
def test_each_mistake_in_a_request_is_reported(problem: str) -> None:
    service, verb, path, query, body = WRONG_REQUESTS[problem]
    log = exchanges.ExchangeLog()
    log.add_request(exchanges.SentRequest(service, verb, path, query, body))
    (told,) = log.take_problems()
    assert problem in told
    assert log.take_problems() == []


METRICS = "/v2/projects/demo-project/metrics"
KEYS = "/v1/projects/demo-project/serviceAccounts/a/keys/b"
WRONG_REPLIES: dict[str, tuple[str, int, Any]] = {
    "metrics[].colour: unknown field": (METRICS, 200, {"metrics": [{"colour": "red"}]}),
    "metrics: dict, not an array": (METRICS, 200, {"metrics": {}}),
    "metrics[]: str, not an object": (METRICS, 200, {"metrics": ["made"]}),
    "createTime: not of format google-datetime": (METRICS, 200, {"metrics": [{"createTime": "yesterday"}]}),
    "keyAlgorithm: not a value of the enumeration": (KEYS, 200, {"keyAlgorithm": "RSA"}),
    "keyAlgorithm: int, not a string": (KEYS, 200, {"keyAlgorithm": 2}),
    "publicKeyData: not of format byte": (KEYS, 200, {"publicKeyData": "?"}),
    "disabled: int, not of type boolean": (KEYS, 200, {"disabled": 1}),
    "no error document": (KEYS, 404, {"error": "gone"}),
    "error.code is not the status": (KEYS, 404, {"error": {"code": 5, "message": "Gone.", "status": "NOT_FOUND"}}),
    "error.status: missing": (KEYS, 404, {"error": {"code": 404, "message": "Gone."}}),
    "error.errors: no domain": ("/storage/v1/b/c", 404, {"error": {"code": 404, "message": "Gone.", "status": "X"}}),
    "metageneration: int, not a string": ("/storage/v1/b/c", 200, {"metageneration": 1}),
}


@pytest.mark.parametrize("problem", WRONG_REPLIES)
def test_each_mistake_in_a_reply_is_reported(problem: str) -> None:
    target, status, reply = WRONG_REPLIES[problem]
    log = exchanges.ExchangeLog()
    log.add_reply(exchanges.GivenReply("GET", target, status, json.dumps(reply).encode()))
    (told,) = log.take_problems()
    assert problem in told


def test_enumerations_are_numbers_for_who_asks_for_that() -> None:
    log = exchanges.ExchangeLog()
    log.add_reply(exchanges.GivenReply("GET", f"{KEYS}?%24alt=json%3Benum-encoding%3Dint", 200, b'{"keyAlgorithm": 2}'))
    assert log.take_problems() == []


class WrongApi(Api):
    """An adapter of the product with a mistake: the page is larger than Google allows."""

    def list_wrongly(self) -> list[Any]:
        return list(
            self.list_items("list", f"projects/{self.project}/serviceAccounts", "accounts", {"pageSize": "101"})
        )


def test_a_wrong_request_of_an_adapter_fails_the_test_that_made_it(
    embedded: CloudUnderTest, exchange_log: exchanges.ExchangeLog
) -> None:
    with pytest.raises(AssertionError, match="pageSize: above the maximum of 100"), exchange_log.checked():
        WrongApi(embedded.session, "iam", "v1").list_wrongly()


def test_a_wrong_reply_of_the_embedded_cloud_fails_the_test_that_got_it(
    embedded: CloudUnderTest, exchange_log: exchanges.ExchangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra_creds.emulator.logging.metrics._KEPT", frozenset({"filter", "colour"}))
    body = {"name": "made", "filter": "x", "colour": "red"}
    with pytest.raises(AssertionError, match="colour: unknown field"), exchange_log.checked():
        embedded.session.rest("make", "POST", "logging", f"v2/projects/{PROJECT}/metrics", body=body)


def test_what_a_test_sends_by_itself_is_not_taken_for_a_request_of_the_product(
    embedded: CloudUnderTest, exchange_log: exchanges.ExchangeLog
) -> None:
    exchange_log.take_problems()
    seen = exchange_log.counts["requests"]
    embedded.session.rest("list", "GET", "iam", ACCOUNTS, query={"pageSize": "101"})
    assert (exchange_log.take_problems(), exchange_log.counts["requests"]) == ([], seen)


def test_every_problem_that_is_allowed_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in exchanges.ALLOWED.values())


def test_what_workers_have_seen_is_added_up_and_too_few_methods_are_told() -> None:
    log, half = exchanges.ExchangeLog(), exchanges.FEWEST_METHODS // 2
    for first in (0, half):
        log.merge({"methods": [str(first + number) for number in range(half)], "counts": {"requests": 5}})
    assert (log.counts["requests"], log.shortfall()) == (10, "")
    log.methods.pop()
    assert log.shortfall().startswith(f"only {exchanges.FEWEST_METHODS - 1} API methods")


def test_the_documents_are_those_that_the_embedded_cloud_serves() -> None:
    assert all(discovery.load_methods(name) for name in discovery.SERVED)
