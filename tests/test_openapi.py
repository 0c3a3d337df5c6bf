"""`/openapi.json`: valid, about the pages that there are, and true of what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from bars import MINUTE, MINUTE_MS, IntervalBar, Span
from storage import ClosedBars, ContractsSeen, Origin, PartialBars
from tests.support.market import MONDAY_MS, a_contract, a_reader, some_bars
from tests.support.wsgi import Answered, WsgiApp, call
from web import Sources, make_app
from web.openapi import document

FOREIGN = "币安人生USDT"
HELD = 300
NOW_MS = MONDAY_MS + HELD * MINUTE_MS + 30_000
FOR_PEOPLE = ("/chart", "/status", "/page/")
"""How the paths of pages begin that are for people to look at, beside the root."""

Document = dict[str, Any]


def is_for_people(path: str) -> bool:
    return path == "/" or path.startswith(FOR_PEOPLE)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> WsgiApp:
    contract, bars = a_contract(), some_bars(MINUTE, MONDAY_MS, HELD + 1)
    frame = '{"timezone":"UTC","serverTime":1,"symbols":[]}'
    reader = a_reader(
        Path(tmp_path_factory.mktemp("openapi")) / "bars.db",
        [
            ContractsSeen([contract, a_contract(FOREIGN)], frame),
            ClosedBars(contract.key, MINUTE, bars[:100], Origin.REST, absent=[Span(0, MONDAY_MS)]),
            ClosedBars(contract.key, MINUTE, bars[120:HELD], Origin.STREAM),
            PartialBars(contract.key, [IntervalBar(MINUTE, bars[HELD])]),
        ],
    )
    status = {"state": "live", "exchange_time": NOW_MS, "backfill": {"history": "1m=1d"}, "restarts": 0}
    app: WsgiApp = make_app(Sources(reader, lambda: NOW_MS, lambda: None, lambda: status, monotonic_s=lambda: 0.0))
    return app


@pytest.fixture(scope="module")
def told(app: WsgiApp) -> Document:
    answered: Document = call(app, "/openapi.json").json
    return answered


def test_the_document_is_valid(told: Document) -> None:
    OpenAPIV31SpecValidator(told).validate()
    assert told == document()


def test_it_tells_of_exactly_the_pages_that_there_are(app: WsgiApp, told: Document) -> None:
    routes = {route.rule for route in app.routes}  # type: ignore[attr-defined]
    assert {path for path in routes if not is_for_people(path)} == told["paths"].keys()


def test_operations_have_names_of_their_own_and_say_what_they_are(told: Document) -> None:
    operations = [operation for page in told["paths"].values() for operation in page.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    tags = {tag["name"] for tag in told["tags"]}
    assert all(operation["summary"] and set(operation["tags"]) <= tags for operation in operations)


def test_every_schema_is_used(told: Document) -> None:
    text = str(told)
    assert [name for name in told["components"]["schemas"] if f"schemas/{name}'" not in text] == []


def expect_as_told(told: Document, path: str, answered: Answered) -> None:
    """The answer's status, content type, headers and body are among those that the document names."""
    response = told["paths"][path]["get"]["responses"][str(answered.status)]
    ((content_type, content),) = response["content"].items()
    assert answered.headers["content-type"].partition(";")[0] == content_type
    body = answered.json if content_type == "application/json" else answered.body.decode()
    schema = {**content["schema"], "components": told["components"]}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(body)]
    assert errors == []
    for name in ("X-Barkeep-Incomplete", "X-MBX-USED-WEIGHT-1M"):
        if name.lower() in answered.headers:
            assert answered.status != 200 or name in response["headers"]


SPAN = f"start={MONDAY_MS}&limit=200"
EXAMPLES = [
    "/api/klines?symbol=BTCUSDT&interval=1m",
    f"/api/klines?symbol=BTCUSDT&interval=1m&{SPAN}",
    f"/api/klines?symbol=BTCUSDT&interval=15m&as_of={MONDAY_MS + 10_000_000}",
    "/api/klines?symbol=BTCUSDT&interval=3d",
    "/api/klines?symbol=NOPE&interval=1m",
    f"/api/klines?symbol={quote(FOREIGN)}&interval=1d",
    f"/api/closed?interval=1m&open_time={MONDAY_MS}",
    f"/api/closed?interval=5m&open_time={MONDAY_MS}&wait=0",
    "/api/closed?interval=1m&open_time=1",
    "/api",
    "/api/overview",
    "/api/overview?closes=0",
    "/api/overview?closes=many",
    "/api/symbols",
    "/api/gaps",
    "/api/gaps?symbol=BTCUSDT&interval=1m",
    "/api/gaps?symbol=NOPE",
    "/api/gaps?interval=1h",
    "/api/status",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/fapi/v1/klines?symbol=BTCUSDT&interval=1m",
    "/fapi/v1/klines?symbol=BTCUSDT&interval=2h",
    "/fapi/v1/klines?symbol=NOPE&interval=1m",
    "/fapi/v1/continuousKlines?pair=BTCUSDT&contractType=PERPETUAL&interval=5m",
    "/fapi/v1/continuousKlines?pair=BTCUSDT&interval=5m",
    "/fapi/v1/exchangeInfo",
    "/fapi/v1/time",
    "/fapi/v1/ping",
    "/api/v3/time",
    "/api/v3/ping",
    "/udf/config",
    "/udf/symbols?symbol=BINANCE:BTCUSDT",
    "/udf/symbols?symbol=NOPE",
    "/udf/symbols",
    "/udf/symbol_info?group=BINANCE",
    "/udf/search?query=usdt",
    "/udf/search?limit=x",
    f"/udf/history?symbol=BTCUSDT&resolution=1&to={NOW_MS // 1000}&countback=500",
    "/udf/history?symbol=BTCUSDT&resolution=1D&from=0&to=60",
    f"/udf/history?symbol=BTCUSDT&resolution=60&from={NOW_MS // 1000}&to={NOW_MS // 1000}",
    "/udf/history?symbol=BTCUSDT&resolution=7&from=0&to=60",
    "/udf/time",
]


@pytest.mark.parametrize("target", EXAMPLES)
def test_what_is_answered_is_what_is_told(app: WsgiApp, told: Document, target: str) -> None:
    expect_as_told(told, target.partition("?")[0], call(app, target))


def test_every_page_has_an_example(told: Document) -> None:
    assert {target.partition("?")[0] for target in EXAMPLES} == told["paths"].keys()


def test_what_cannot_be_answered_now_is_told_too(tmp_path: Path, told: Document) -> None:
    reader = a_reader(tmp_path / "bars.db", [ContractsSeen([a_contract()])])
    lame: WsgiApp = make_app(Sources(reader, lambda: None, lambda: "nothing has been committed yet", dict))
    for path in ("/healthz", "/fapi/v1/time", "/fapi/v1/exchangeInfo", "/api/v3/time", "/udf/time"):
        answered = call(lame, path)
        assert answered.status == 503
        expect_as_told(told, path, answered)
    expect_as_told(told, "/api/status", call(lame, "/api/status"))


PARAMETERS = st.sampled_from(
    [parameter["name"] for page in document()["paths"].values() for parameter in page["get"].get("parameters", [])]
)
VALUES = st.one_of(
    st.sampled_from(["BTCUSDT", FOREIGN, "1m", "5m", "1M", "60", "1D", "PERPETUAL", "0", "1", "-1", str(NOW_MS)]),
    st.integers(0, NOW_MS).map(str),
    st.text(max_size=12),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data(), st.dictionaries(PARAMETERS, VALUES, max_size=6))
def test_whatever_is_asked_is_answered_as_told(
    app: WsgiApp, told: Document, data: st.DataObject, query: dict[str, str]
) -> None:
    path = data.draw(st.sampled_from(sorted(told["paths"])))
    target = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query.items())
    expect_as_told(told, path, call(app, f"{path}?{target}"))
