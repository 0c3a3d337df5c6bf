"""BarSystem as part of another program: what it promises its host, against an exchange on real sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal, Inexact, localcontext
from pathlib import Path
from typing import Any

import pykka
import pytest

from actors import BarSystem
from actors.options import BadOption
from actors.subscriptions import WAITING_MAX, BarView, Subscription, view_of
from bars import INTERVALS, MINUTE, MINUTE_MS, STORED, ContractKey, Interval
from exchange.proxy import InvalidProxy
from exchange.simulated import SimulatedExchange, World, default_plan
from storage import BarStore, DatabaseInUse, Reader
from tests.support.builders import MONDAY_MS, a_bar
from tests.support.service import SHORT_HISTORY, differences, wait_until
from wire.published import BarEvent
from wire.rows import row_from_bar

SPEED = 120
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
FIVE_MINUTES = INTERVALS["5m"]
PATIENCE_S = 40.0
LAYERS = ("actors", "exchange", "storage", "wire", "bars")


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(default_plan(seed=7, count=3, changes=False), speed=SPEED) as exchange:
        yield exchange


def options(exchange: SimulatedExchange, database: Path, symbols: list[str] | None = None) -> dict[str, Any]:
    return {
        "database": database,
        "symbols": symbols or SYMBOLS,
        "rest_url": exchange.rest_url,
        "ws_url": exchange.ws_url,
        "history": SHORT_HISTORY,
    }


@pytest.fixture(scope="module")
def bars(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarSystem]:
    """A system that is up, for the tests that neither start nor stop one."""
    with BarSystem(**options(exchange, tmp_path_factory.mktemp("shared") / "bars.db")) as bars:
        wait_until(lambda: is_complete(bars), PATIENCE_S, "all bars in progress and three hours of minutes are there")
        yield bars


def is_complete(bars: BarSystem) -> bool:
    newest = [bars.latest(symbol, interval.name) for symbol in SYMBOLS for interval in STORED[1:]]
    return all(view is not None and not view.closed for view in newest) and all(
        len(bars.history(symbol, "1m")) >= 180 for symbol in SYMBOLS
    )


class Callback:
    """Keeps what it is called with, and the thread that calls."""

    def __init__(self) -> None:
        self.views: list[BarView] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, view: BarView) -> None:
        self.threads.add(threading.current_thread())
        self.views.append(view)

    @property
    def finals(self) -> list[BarView]:
        return [view for view in self.views if view.closed]

    def wait_for_finals(self, count: int) -> None:
        wait_until(lambda: len(self.finals) >= count, PATIENCE_S, f"{count} closed bars have come")

    def wait_for_more(self, count: int = 3) -> None:
        seen = len(self.views)
        wait_until(lambda: len(self.views) >= seen + count, PATIENCE_S, f"{count} further bars have come")


def fail(*_: object) -> None:
    raise ZeroDivisionError("halfway")


def as_row(view: BarView) -> list[object]:
    """A view in the order of the exchange's rows."""
    return [
        view.open_time,
        *(view.open, view.high, view.low, view.close, view.volume),
        view.close_time,
        *(view.quote_volume, view.trades, view.taker_buy_volume, view.taker_buy_quote_volume),
    ]


def true_row(world: World, symbol: str, interval: Interval, open_ms: int) -> list[object]:
    """What the exchange's REST says of a closed bar, its text as decimals."""
    (bar,) = world.bars(symbol, interval, open_ms, open_ms + 1)
    fields = row_from_bar(bar, interval)[:11]
    return [Decimal(field) if isinstance(field, str) else field for field in fields]


def assert_true(views: list[BarView], world: World) -> None:
    for view in views:
        assert view.closed
        assert as_row(view) == true_row(world, view.symbol, INTERVALS[view.interval], view.open_time)


def assert_well(bars: BarSystem) -> None:
    wait_until(lambda: bars.health() is None, PATIENCE_S, "the system is healthy")
    assert bars.status()["restarts"] == 0


def test_values_are_exact_whatever_precision_the_program_calculates_with() -> None:
    with localcontext() as context:
        context.prec = 2
        context.traps[Inexact] = True
        view = view_of("BTCUSDT", MINUTE, a_bar(MONDAY_MS), closed=True, origin="stream")
    assert [str(value) for value in (view.high, view.volume, view.quote_volume)] == ["12.00", "7.0", "7.000"]


class TestBars:
    def test_a_callback_gets_partial_and_closed_bars_of_one_series_with_every_attribute_exact(
        self, exchange: SimulatedExchange, bars: BarSystem
    ) -> None:
        callback = Callback()
        bars.subscribe(callback, symbol="BTCUSDT", interval="5m")
        callback.wait_for_finals(1)
        callback.wait_for_more()
        assert {(view.symbol, view.interval) for view in callback.views} == {("BTCUSDT", "5m")}
        assert_true(callback.finals, exchange.world)
        for view in callback.views:
            values = [view.open, view.high, view.low, view.close, view.volume, view.quote_volume]
            values += [view.taker_buy_volume, view.taker_buy_quote_volume]
            assert {type(value) for value in values} == {Decimal}
            assert {type(value) for value in (view.open_time, view.close_time, view.trades)} == {int}
            assert type(view.closed) is bool
            assert view.close_time == view.open_time + 5 * MINUTE_MS - 1
        assert any(not view.closed for view in callback.views)

    def test_without_symbol_and_interval_every_series_comes(self, bars: BarSystem) -> None:
        callback = Callback()
        bars.subscribe(callback)
        expected = {(symbol, interval.name) for symbol in SYMBOLS for interval in STORED}
        wait_until(
            lambda: {(view.symbol, view.interval) for view in callback.views} == expected,
            PATIENCE_S,
            "all six intervals of all symbols have come",
        )

    def test_finals_come_in_order_and_once_and_after_a_final_nothing_of_its_bar(
        self, exchange: SimulatedExchange, bars: BarSystem
    ) -> None:
        callback = Callback()
        bars.subscribe(callback)
        callback.wait_for_finals(6)
        exchange.disconnect_all()
        callback.wait_for_finals(15)
        views = list(callback.views)
        for series in {(view.symbol, view.interval) for view in views}:
            finals: list[int] = []
            for view in views:
                if (view.symbol, view.interval) == series:
                    assert not finals or view.open_time > finals[-1], f"{view} came after its final"
                    finals += [view.open_time] if view.closed else []
            span_ms = INTERVALS[series[1]].span_ms
            assert finals == [finals[0] + number * span_ms for number in range(len(finals))] if finals else True
        assert_true([view for view in views if view.closed], exchange.world)

    def test_history_and_latest_are_exact_in_all_intervals(self, exchange: SimulatedExchange, bars: BarSystem) -> None:
        for name in INTERVALS:
            views = bars.history("SOLUSDT", name, limit=50)
            assert len(views) <= 50
            assert [view.open_time for view in views] == sorted({view.open_time for view in views})
            assert {(view.symbol, view.interval) for view in views} <= {("SOLUSDT", name)}
            assert_true([view for view in views if view.closed], exchange.world)
            assert all(view.closed for view in views[:-1])
        assert {view.interval for name in INTERVALS for view in bars.history("SOLUSDT", name, limit=1)} >= {
            interval.name for interval in STORED
        }

    def test_history_has_inclusive_bounds_and_latest_is_its_end(self, bars: BarSystem) -> None:
        minutes = [view for view in bars.history("BTCUSDT", "1m") if view.closed]
        start, end = minutes[10].open_time, minutes[20].open_time
        assert bars.history("btcusdt", "1m", start=start, end=end) == minutes[10:21]
        assert bars.history("BTCUSDT", "1m", start=start, limit=2) == minutes[10:12]
        assert bars.history("BTCUSDT", "1m", end=end, limit=2) == minutes[19:21]
        newest = bars.latest("BTCUSDT", "1m")
        assert newest is not None
        assert newest.open_time >= minutes[-1].open_time

    def test_what_does_not_exist_is_empty_and_what_cannot_be_is_refused(self, bars: BarSystem) -> None:
        assert bars.history("NOPEUSDT", "1m") == []
        assert bars.latest("NOPEUSDT", "1m") is None
        with pytest.raises(ValueError, match=r"interval: expected one of 1m, .* got '3d'"):
            bars.history("BTCUSDT", "3d")
        with pytest.raises(ValueError, match="interval: expected one of 1m, 5m, 30m, 4h, 1d, 1w, got '1h'"):
            bars.subscribe(print, "BTCUSDT", "1h")


class TestCallbacks:
    def test_they_run_in_a_thread_of_their_own_and_may_read_bars(self, bars: BarSystem) -> None:
        read: list[BarView | None] = []
        callback, reading = Callback(), Callback()
        bars.subscribe(callback, symbol="BTCUSDT", interval="1m")
        bars.subscribe(reading, symbol="BTCUSDT", interval="1m")
        bars.subscribe(lambda view: read.append(bars.latest(view.symbol, "1d")))
        callback.wait_for_more()
        reading.wait_for_more()
        wait_until(lambda: read[-1:] not in ([], [None]), PATIENCE_S, "a callback has read a bar")
        (one,), (other,) = callback.threads, reading.threads
        assert one is not other
        assert {one.name, other.name} == {"subscriber BTCUSDT"}

    def test_one_that_raises_is_logged_and_counted_and_goes_on(
        self, bars: BarSystem, caplog: pytest.LogCaptureFixture
    ) -> None:
        callback = Callback()

        def raising(view: BarView) -> None:
            callback(view)
            raise LookupError("a mistake of the host's")

        with caplog.at_level(logging.ERROR):
            token = bars.subscribe(raising, symbol="BTCUSDT", interval="1m")
            callback.wait_for_more()
        bars.unsubscribe(token)
        logged = [record for record in caplog.records if record.exc_info and record.exc_info[0] is LookupError]
        texts = [record.getMessage() for record in logged]
        assert texts[:2] == [f"a subscriber of BTCUSDT 1m failed ({times} times)" for times in (1, 2)]
        assert_well(bars)

    @pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError])
    def test_one_that_wants_to_end_its_thread_goes_on_too(
        self, kind: type[BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        callback = Callback()

        def raising(view: BarView) -> None:
            callback(view)
            raise kind

        subscription = Subscription(raising, "all")
        event = BarEvent(ContractKey("BTCUSDT", MONDAY_MS), MINUTE, a_bar(MONDAY_MS), closed=True)
        assert [subscription.deliver(event) for _ in range(3)] == [True] * 3
        callback.wait_for_finals(3)
        subscription.end()
        subscription.join(PATIENCE_S)
        assert subscription.errors == 3
        assert len([record for record in caplog.records if record.exc_info]) == 3

    def test_one_that_raises_or_blocks_harms_nobody(self, exchange: SimulatedExchange, bars: BarSystem) -> None:
        entered, released, callback = threading.Event(), threading.Event(), Callback()

        def blocking(_view: BarView) -> None:
            entered.set()
            released.wait()

        def raising(_view: BarView) -> None:
            raise LookupError("a mistake of the host's")

        bars.subscribe(blocking, symbol="BTCUSDT")
        token = bars.subscribe(raising, symbol="BTCUSDT")
        assert entered.wait(PATIENCE_S)
        bars.subscribe(callback, symbol="BTCUSDT", interval="1m")
        callback.wait_for_finals(3)
        last = callback.finals[-1]
        wait_until(
            lambda: last.open_time in {view.open_time for view in bars.history("BTCUSDT", "1m") if view.closed},
            PATIENCE_S,
            "the bar is committed too",
        )
        assert_true(callback.finals, exchange.world)
        assert_well(bars)
        bars.unsubscribe(token)
        released.set()

    def test_the_origin_tells_whether_a_minute_came_over_the_stream_or_from_rest(self) -> None:
        callback = Callback()
        subscription = Subscription(callback, "all")
        key, bar = ContractKey("BTCUSDT", MONDAY_MS), a_bar(MONDAY_MS)
        for interval, by_rest in ((MINUTE, False), (MINUTE, True), (INTERVALS["5m"], True)):
            assert subscription.deliver(BarEvent(key, interval, bar, closed=True, by_rest=by_rest))
        callback.wait_for_finals(3)
        subscription.end()
        subscription.join(PATIENCE_S)
        assert [view.origin for view in callback.views] == ["stream", "rest", "aggregated"]

    def test_one_that_is_far_behind_is_cut_off_and_keeps_what_waits_bounded(self) -> None:
        entered, released = threading.Event(), threading.Event()

        def blocking(_view: BarView) -> None:
            entered.set()
            released.wait()

        subscription = Subscription(blocking, "all")
        event = BarEvent(ContractKey("BTCUSDT", MONDAY_MS), MINUTE, a_bar(MONDAY_MS), closed=True)
        assert subscription.deliver(event)
        assert entered.wait(PATIENCE_S)
        taken = [subscription.deliver(event) for _ in range(WAITING_MAX + 1)]
        assert taken == [True] * WAITING_MAX + [False]
        released.set()
        subscription.end()
        subscription.join(PATIENCE_S)

    def test_after_unsubscribe_nothing_comes_to_that_one(self, bars: BarSystem) -> None:
        gone, staying = Callback(), Callback()
        token = bars.subscribe(gone, symbol="BTCUSDT", interval="1m")
        bars.subscribe(staying, symbol="BTCUSDT", interval="1m")
        gone.wait_for_more()
        bars.unsubscribe(token)
        seen = len(gone.views)
        staying.wait_for_more(5)
        assert len(gone.views) == seen
        assert not any(thread.is_alive() for thread in gone.threads)
        bars.unsubscribe(token)

    def test_a_callback_may_end_its_own_subscription(self, bars: BarSystem) -> None:
        tokens: list[object] = []
        subscribed, ended, calls, staying = threading.Event(), threading.Event(), Callback(), Callback()

        def once(view: BarView) -> None:
            calls(view)
            subscribed.wait(PATIENCE_S)
            bars.unsubscribe(tokens[0])
            ended.set()

        tokens.append(bars.subscribe(once, symbol="BTCUSDT"))
        subscribed.set()
        assert ended.wait(PATIENCE_S)
        bars.subscribe(staying, symbol="BTCUSDT")
        staying.wait_for_more(5)
        assert len(calls.views) == 1

    def test_a_callback_may_stop_the_system(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        stopped = threading.Event()
        bars = BarSystem(**options(exchange, tmp_path / "bars.db"))

        def stopping(_view: BarView) -> None:
            bars.stop()
            stopped.set()

        bars.start()
        bars.subscribe(stopping)
        assert stopped.wait(PATIENCE_S)
        assert bars.health() == "stopped"


class TestLife:
    def test_stop_leaves_no_thread_and_no_open_file_behind(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        before, files_before = own_threads(), open_files(tmp_path)
        bars = BarSystem(**options(exchange, tmp_path / "bars.db"))
        assert own_threads() <= before, "making a system starts nothing"
        with bars:
            callback = Callback()
            bars.subscribe(callback)
            callback.wait_for_finals(1)
            bars.history("BTCUSDT", "1m")
            assert open_files(tmp_path) - files_before
            assert own_threads() - before
        assert own_threads() <= before
        assert open_files(tmp_path) == files_before
        assert not list(tmp_path.glob("bars.db-*")), "SQLite's log is merged into the file"

    def test_a_second_stop_and_a_second_start_do_nothing(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        before = own_threads()
        bars = BarSystem(**options(exchange, tmp_path / "bars.db"))
        bars.stop()
        bars.start()
        bars.start()
        callback = Callback()
        bars.subscribe(callback)
        callback.wait_for_finals(1)
        names = [thread.name for thread in own_threads() - before]
        assert names.count("metronome") == names.count("writer") == 1
        bars.stop()
        bars.stop()
        assert own_threads() <= before
        assert bars.status()["state"] == "stopped"
        assert bars.health() == "stopped"

    def test_started_again_it_goes_on_without_a_gap(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        database = tmp_path / "bars.db"
        bars = BarSystem(**options(exchange, database))
        with bars:
            callback = Callback()
            bars.subscribe(callback, interval="1m")
            callback.wait_for_finals(3)
        stopped_ms = exchange.now_ms()
        wait_until(lambda: exchange.now_ms() > stopped_ms + 2 * MINUTE_MS, PATIENCE_S, "the exchange has gone on")
        with bars, closing(Reader(database)) as reader:
            callback = Callback()
            bars.subscribe(callback, interval="1m")
            callback.wait_for_finals(3)
            wait_until(lambda: not differences(reader, exchange.world), PATIENCE_S, "no bar differs or is missing")
            last = callback.finals[-1]
        with closing(Reader(database)) as reader:
            record = reader.find(last.symbol)
            assert record is not None
            last_ms = reader.last_open_ms(record, MINUTE)
            assert last_ms is not None
            assert last_ms >= last.open_time, "what was told is committed"
            assert differences(reader, exchange.world) == []

    def test_what_needs_a_running_system_says_so(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        before = own_threads()
        bars = BarSystem(**options(exchange, tmp_path / "bars.db"))
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"not running: expected start\(\) before, or a with block"):
                bars.subscribe(print)
            with pytest.raises(RuntimeError, match="not running"):
                bars.history("BTCUSDT", "1m")
            with pytest.raises(RuntimeError, match="not running"):
                bars.latest("BTCUSDT", "1m")
            reason = bars.fetch(ContractKey("BTCUSDT", 0), MINUTE, [], 1.0)
            assert reason is not None
            assert "not running" in reason
            bars.stop_fetching()
            assert own_threads() <= before
            bars.start()
            bars.stop()

    def test_a_proxy_of_the_environment_that_cannot_be_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads = set(threading.enumerate())
        bars = BarSystem(database=tmp_path / "bars.db", rest_url="https://exchange.example")
        monkeypatch.setenv("HTTPS_PROXY", "gopher://nowhere")
        with pytest.raises(InvalidProxy, match="gopher"):
            bars.start()
        assert set(threading.enumerate()) <= threads
        assert bars.health() == "stopped"
        BarStore.open(tmp_path / "bars.db").close()

    def test_a_file_that_cannot_be_read_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads = set(threading.enumerate())
        bars = BarSystem(database=tmp_path / "bars.db", rest_url="https://exchange.example")
        with monkeypatch.context() as patch:
            patch.setattr("actors.system.Reader", fail)
            with pytest.raises(ZeroDivisionError):
                bars.start()
        assert set(threading.enumerate()) <= threads
        BarStore.open(tmp_path / "bars.db").close()

    def test_a_start_that_fails_halfway_is_undone_and_may_be_tried_again(
        self, exchange: SimulatedExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads = set(threading.enumerate())
        bars = BarSystem(**options(exchange, tmp_path / "bars.db"))
        monkeypatch.setattr("actors.running.STOP_S", 0.1)  # its supervisor is gone: nobody stops the others in order
        with monkeypatch.context() as patch:
            patch.setattr("actors.parts.Parts.start", fail)
            with pytest.raises(ZeroDivisionError):
                bars.start()
        assert bars.health() == "the supervisor crashed: ZeroDivisionError('halfway')"
        assert bars.wait(0.0)
        wait_until(lambda: set(threading.enumerate()) <= threads, PATIENCE_S, "no thread is left")
        monkeypatch.undo()
        with bars:
            assert bars.failure is None

    def test_two_systems_live_in_one_process(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        plan = default_plan(seed=8, count=3, changes=False)
        with (
            SimulatedExchange(plan, speed=SPEED) as other_exchange,
            BarSystem(**options(exchange, tmp_path / "one.db", ["BTCUSDT"])) as one,
            BarSystem(**options(other_exchange, tmp_path / "other.db", ["ETHUSDT"])) as other,
        ):
            of_one, of_other = Callback(), Callback()
            one.subscribe(of_one, interval="1m")
            other.subscribe(of_other, interval="1m")
            of_one.wait_for_finals(2)
            of_other.wait_for_finals(2)
            one.stop()
            of_other.wait_for_finals(len(of_other.finals) + 1)
            assert {view.symbol for view in of_one.views} == {"BTCUSDT"}
            assert {view.symbol for view in of_other.views} == {"ETHUSDT"}
            assert_true(of_one.finals, exchange.world)
            assert_true(of_other.finals, other_exchange.world)

    def test_a_second_system_on_the_same_file_is_refused_and_the_first_goes_on(
        self, exchange: SimulatedExchange, bars: BarSystem
    ) -> None:
        callback = Callback()
        bars.subscribe(callback, interval="1m")
        second = BarSystem(**options(exchange, bars.settings.database))
        for _ in range(2):
            with pytest.raises(DatabaseInUse, match=rf"bars\.db: .*its only writer.*process {os.getpid()}"):
                second.start()
        names = [thread.name for thread in own_threads()]
        assert names.count("metronome") == names.count("writer") == 1
        second.stop()
        callback.wait_for_finals(1)

    def test_a_wrong_keyword_or_value_is_refused_before_anything_happens(self, tmp_path: Path) -> None:
        before = own_threads()
        with pytest.raises(BadOption, match="symbol: expected a known option, the nearest is symbols, got 'symbol'"):
            BarSystem(database=tmp_path / "bars.db", symbol=["BTCUSDT"])
        with pytest.raises(BadOption, match=r"weight_share: expected .*, got 2"):
            BarSystem(database=tmp_path / "bars.db", weight_share=2)
        assert own_threads() <= before
        assert list(tmp_path.iterdir()) == []


class TestTheHost:
    def test_its_signal_handlers_and_its_logging_stay_as_they_are(
        self, exchange: SimulatedExchange, tmp_path: Path
    ) -> None:
        before = process_settings()
        with BarSystem(**options(exchange, tmp_path / "bars.db")) as bars:
            callback = Callback()
            bars.subscribe(callback)
            callback.wait_for_more()
            assert process_settings() == before
        assert process_settings() == before

    def test_no_module_remembers_anything(self, exchange: SimulatedExchange, tmp_path: Path) -> None:
        before = module_state()
        with BarSystem(**options(exchange, tmp_path / "bars.db")) as bars:
            callback = Callback()
            bars.subscribe(callback)
            callback.wait_for_finals(1)
            during = module_state()
        assert before.keys() <= during.keys()
        assert {name: value for name, value in during.items() if name in before} == before
        assert {name: value for name, value in module_state().items() if name in before} == before

    def test_its_own_actors_are_left_alone_and_stopping_them_all_leaves_ours_alone(
        self, exchange: SimulatedExchange, tmp_path: Path
    ) -> None:
        with BarSystem(**options(exchange, tmp_path / "bars.db")) as bars:
            own = HostActor.start()
            callback = Callback()
            bars.subscribe(callback, interval="1m")
            callback.wait_for_finals(1)
            assert pykka.ActorRegistry.get_all() == [own]
            pykka.ActorRegistry.stop_all(timeout=PATIENCE_S)
            assert not own.is_alive()
            another = HostActor.start()
            callback.wait_for_finals(len(callback.finals) + 4)
            assert_well(bars)
        assert another.is_alive()
        assert another.ask("still there?", timeout=PATIENCE_S) == "still there?"
        another.stop()


class HostActor(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


def own_threads() -> set[threading.Thread]:
    """The threads of this process, without the exchange's, which starts workers when it needs them."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("simulated-")}


def open_files(folder: Path) -> set[str]:
    """The open descriptors that lead to files in a folder."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = descriptor.readlink()
        except OSError:  # closed meanwhile: it was the listing's own
            continue
        if folder in target.parents:
            found.add(f"{descriptor.name} {target}")
    return found


def process_settings() -> list[Any]:
    root = logging.getLogger()
    ours = [logging.getLogger(layer) for layer in LAYERS]
    return [
        {number: signal.getsignal(number) for number in signal.valid_signals()},
        [(logger.level, list(logger.handlers), list(logger.filters), logger.propagate) for logger in (root, *ours)],
        (logging.root.manager.disable, sys.excepthook, threading.excepthook),
    ]


def module_state() -> dict[str, Any]:
    """What the modules of ours that are loaded hold: identities, and copies of what could be changed in place."""
    state: dict[str, Any] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in LAYERS and not module_name.startswith("exchange.simulated"):
            for name, value in vars(module).items():
                if name.startswith("__"):
                    continue
                copied = repr(value) if isinstance(value, (dict, list, set, bytearray)) else None
                state[f"{module_name}.{name}"] = id(value), copied
    return state
