"""`python -m tests.simulate`: many seeds, or one with a trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from tests.simulate.run import Outcome, replay_command, simulate
from tests.simulate.shape import FAULTS

PROGRESS_S = 10.0
WAITING_MAX = 64


def main() -> int:
    arguments = _parser().parse_args()
    without = frozenset(arguments.without.split(",")) if arguments.without else frozenset()
    if without - set(FAULTS):
        print(f"--without: expected some of {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.trace, without)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    return _many(seeds, arguments.workers, without)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many to run (200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--workers", type=int, default=2, help="how many processes (2)")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every message and every fault")
    parser.add_argument("--without", metavar="FAULTS", help=f"leave out some of {','.join(FAULTS)}")
    return parser


def _one(seed: int, is_traced: bool, without: frozenset[str]) -> int:
    outcome = simulate(seed, print if is_traced else None, traced=True, without=without)
    print(_summary(outcome))
    for failure in outcome.failures:
        print(f"  {failure}")
    return 1 if outcome.failures else 0


def _summary(outcome: Outcome) -> str:
    return (
        f"seed {outcome.seed}: {'FAILED' if outcome.failures else 'ok'}, {outcome.turns} turns, "
        f"{outcome.processes} processes, {outcome.crashes} crashes, {outcome.finals} finals, "
        f"calm after {outcome.calm_minutes} min, trace {outcome.digest}"
    )


def _many(seeds: range, workers: int, without: frozenset[str]) -> int:
    began_s = said_s = time.monotonic()
    done, failed, faults, turns, cpu_s = 0, [], Counter[str](), 0, 0.0
    for outcome in _outcomes(seeds, workers, without):
        done += 1
        turns += outcome.turns
        cpu_s += outcome.cpu_s
        faults += outcome.faults
        if outcome.failures:
            failed.append(outcome.seed)
            print(_summary(outcome), *outcome.failures, replay_command(outcome.seed), sep="\n  ", flush=True)
        now_s = time.monotonic()
        if now_s - said_s >= PROGRESS_S:
            said_s = now_s
            left_s = (now_s - began_s) / done * (len(seeds) - done)
            print(f"{done} of {len(seeds)} seeds, {len(failed)} failed, {left_s / 60:.0f} min left", flush=True)
    took_s = time.monotonic() - began_s
    print(f"{done} seeds, {len(failed)} failed, {turns} messages, {took_s:.0f} s", end="; ")
    print(f"a seed takes {cpu_s / done:.3f} s of a core")
    print("faults:", ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in faults.most_common()))
    for seed in failed:
        print(replay_command(seed))
    return 1 if failed else 0


def _outcomes(seeds: Iterable[int], workers: int, without: frozenset[str]) -> Iterator[Outcome]:
    """As they come; no more are under way than needed, so that an interruption is obeyed soon."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: set[Future[Outcome]] = set()
        for seed in seeds:
            waiting.add(pool.submit(simulate, seed, without=without))
            if len(waiting) >= WAITING_MAX:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        yield from (future.result() for future in waiting)


if __name__ == "__main__":
    sys.exit(main())
