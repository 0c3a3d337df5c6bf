"""The WSGI application: every page, and what is said where there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import bottle  # type: ignore[import-untyped]

from storage import StorageError
from web.answers import JSON, Answer, Handler, Query, Refusal, json_answer, refusal_for, refused
from web.compatible import compatible_routes
from web.metrics import NO_ROUTE, Metrics
from web.native import native_routes
from web.openapi import document
from web.site import add_site
from web.sources import Sources
from web.through import ReadThrough
from web.udf import udf_routes
from wire.errors import ApiError

logger = logging.getLogger(__name__)


def make_app(sources: Sources) -> bottle.Bottle:
    """All pages over `sources`. Every application is its own: several may live in one process."""
    app = bottle.Bottle()
    app.add_hook("after_request", _allow_every_origin)
    through, metrics = ReadThrough(sources), Metrics(sources)
    app.default_error_handler = _no_handler(metrics)
    routes = [
        *native_routes(sources, through),
        *compatible_routes(sources, through),
        *udf_routes(sources, through),
        ("/metrics", metrics.page),
        ("/openapi.json", _openapi()),
    ]
    for path, handler in routes:
        app.route(path, callback=_callback(path, handler, metrics, sources.monotonic_s))
    add_site(app, sources, metrics.answered)
    return app


def _openapi() -> Handler:
    answer = json_answer(document())
    return lambda _query: answer


def _callback(
    route: str, handler: Handler, metrics: Metrics, monotonic_s: Callable[[], float]
) -> Callable[[], bottle.HTTPResponse]:
    def call() -> bottle.HTTPResponse:
        begun_s = monotonic_s()
        answer = _answer(handler, bottle.request.path, bottle.request.query_string)
        metrics.answered(route, answer.status, monotonic_s() - begun_s)
        return bottle.HTTPResponse(answer.body, answer.status, {"Content-Type": JSON, **answer.headers})

    return call


def _answer(handler: Handler, path: str, query_string: str) -> Answer:
    """What the handler answers; refusals become answers, and a fault of ours is logged and told without details."""
    try:
        return handler(_decoded(query_string))
    except (ApiError, Refusal) as error:
        return refused(error)
    except StorageError as error:
        logger.error("answering %r: %s", path, error)
        return refused(refusal_for(path, 503))
    except Exception:
        logger.exception("answering %r failed", path)
        return refused(refusal_for(path, 500))


def _decoded(query_string: str) -> Query:
    """Bytes that are no UTF-8 become U+FFFD, which no symbol has."""
    return parse_qsl(query_string, keep_blank_values=True)


def _allow_every_origin() -> None:
    bottle.response.set_header("Access-Control-Allow-Origin", "*")


def _no_handler(metrics: Metrics) -> Callable[[Any], bytes]:
    """What makes the body for an unknown path or method, which the router refuses before any handler is found."""

    def refuse(error: Any) -> bytes:
        bottle.response.content_type = JSON
        metrics.answered(NO_ROUTE, error.status_code, 0.0)
        return refused(refusal_for(bottle.request.path, error.status_code)).body

    return refuse
