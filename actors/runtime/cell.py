"""The cell: a pykka actor that outlives the crashes of what it runs.

pykka's own actors die with an unhandled exception; their mailbox is dropped, and whoever tells them
something next gets an exception himself. A `Cell` is a pykka actor whose address and mailbox stay. What
handles the letters is an `Actor` object inside, made anew for each life: after a crash the cell keeps
collecting letters, and the supervisor decides when the next life begins. Only the letter that killed the
actor is gone, logged and counted.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import pykka
from pykka import messages as pykka_messages

from actors.runtime.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

_STOP = pykka_messages._ActorStop  # noqa: SLF001 - how pykka says stop
BEGIN = "begin"
"""Stands for the message in a crash at the beginning of a life."""


class UnexpectedMessage(Exception):
    """A letter that the actor has no use for: a programmer's mistake."""

    def __init__(self, actor: Actor, message: object) -> None:
        super().__init__(f"{type(actor).__name__}: expected one of its messages, got {message!r:.200}")


class Address:
    """Where an actor can be reached, through all its lives."""

    __slots__ = ("_ref", "name")

    def __init__(self, name: str, ref: pykka.ActorRef[Any]) -> None:
        self.name = name
        self._ref = ref

    def tell(self, message: object) -> None:
        """Leave a message. An actor that was stopped for good no longer wants any."""
        try:
            self._ref.tell(message)
        except pykka.ActorDeadError:
            logger.debug("%s has stopped; not told: %.100r", self.name, message)

    def ask(self, message: object, timeout_s: float) -> Any:
        """Leave a message and wait for the answer: for starting, stopping and tests.

        Raises:
            pykka.Timeout: no answer within `timeout_s`.
            pykka.ActorDeadError: the actor has stopped.
            Exception: what the actor raised.
        """
        return self._ref.ask(message, timeout=timeout_s)

    @property
    def has_ended(self) -> bool:
        """Whether the actor was stopped for good."""
        return not self._ref.is_alive()

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Actor:
    """What an actor does, during one life. Subclasses own some state and handle messages."""

    me: Address
    """Its own address; known from `begin` on."""

    def begin(self) -> None:
        """Take hold of what this life needs. Called first, in the actor's own thread."""

    def receive(self, message: Any) -> Any:
        """Handle one message; an answer counts only when it was asked."""
        raise UnexpectedMessage(self, message)

    def end(self) -> None:
        """Let go of what this life took hold of. Called last, after a crash too, even one in `begin`.

        Called again when a thread that was stuck in this life, and was replaced, comes back after all.
        """


class Crash(NamedTuple):
    """One life's end by an exception."""

    name: str
    life: int
    error: BaseException
    message: object


class Before(Protocol):
    """Called before each letter; raises to inject a crash (tests)."""

    def __call__(self, name: str, message: object) -> None: ...


class Mailbox:
    """Letters in the order they came. Putting one wakes the cell."""

    def __init__(self) -> None:
        self.letters: deque[Any] = deque()
        self.wake: Callable[[], None] = lambda: None

    def put(self, envelope: Any, /) -> None:
        self.letters.append(envelope)
        self.wake()

    def get(self) -> Any:
        return self.letters.popleft()

    def empty(self) -> bool:
        return not self.letters


def _nobody(name: str) -> None:
    """Nobody wants to know that the cell `name` has ended."""


class Cell(pykka.Actor):
    """Address, mailbox and lives of one actor.

    Args:
        name: for logs and status.
        make: makes the actor object of a new life.
        dispatcher: runs it.
        on_crash: told of each crash; the cell then waits for `restart`.
        on_end: told when the cell has stopped and nothing of it runs any more.
        before: called before each letter (tests inject crashes with it).
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Actor],
        dispatcher: Dispatcher,
        on_crash: Callable[[Crash], None],
        on_end: Callable[[str], None] = _nobody,
        before: Before | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.address = Address(name, self.actor_ref)
        self.life = 1
        self._mailbox = cast(Mailbox, self.actor_inbox)
        self._make = make
        self._dispatcher = dispatcher
        self._on_crash = on_crash
        self._on_end = on_end
        self._before = before
        self._actor: Actor | None = None
        self._is_due_to_begin = True
        self._is_due_to_stop = False
        self._is_scheduled = False
        self._mailbox.wake = self._wake

    @property
    def waiting(self) -> int:
        """How many letters wait."""
        return len(self._mailbox.letters)

    def launch(self) -> Address:
        """Begin the first life.

        pykka's process-wide registry is left alone: whoever stops all of its actors (a host application, or
        pykka itself after a BaseException) means his own.
        """
        self._start_actor_loop()
        return self.address

    def restart(self) -> None:
        """End this life, if there is one, and begin another; the letters stay. Only one thread may call this."""
        self.life += 1
        self._is_due_to_begin = True
        self._wake()

    def request_stop(self) -> None:
        """Stop after the letters that wait now have been handled, in a new life if there is none.

        From here on a crash is followed by the next life at once: no letter is left behind, unless a life
        cannot even begin.
        """
        self._is_due_to_stop = True
        self.actor_ref.stop(block=False)

    def run(self, letters_max: int) -> None:
        """Handle at most `letters_max` letters, and ask for another turn when more wait. Dispatchers call this."""
        self._is_scheduled = False
        if self._is_due_to_begin or (self._is_due_to_stop and self._actor is None):
            self._begin()
        actor, letters = self._actor, self._mailbox.letters
        for _ in range(letters_max):
            # Another actor than before: this thread was stuck, and a successor's turn has begun the next life.
            if actor is None or self._actor is not actor or self._is_due_to_begin or not letters:
                break
            self._handle(actor, letters.popleft())
        if self._is_due_to_begin or (letters and (self._actor is not None or self._is_due_to_stop)):
            self._wake()

    def _wake(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._dispatcher.schedule(self)

    def _begin(self) -> None:
        self._is_due_to_begin = False
        if self.actor_stopped.is_set():
            self._actor_loop_teardown()  # letters from those who did not know yet
            return
        self._end_life()
        actor, life = None, self.life
        try:
            actor = self._make()
            actor.me = self.address
            self._actor = actor
            actor.begin()
        except BaseException as error:
            self._crash(actor, life, error, BEGIN)
            if self._is_due_to_stop:
                self._stop()
        else:
            self._end_if_replaced(actor)

    def _handle(self, actor: Actor, envelope: Any) -> None:
        life = self.life
        message, reply_to = envelope.message, envelope.reply_to
        if type(message) is _STOP:
            self._stop()
            if reply_to is not None:
                reply_to.set(None)
            return
        try:
            if self._before is not None:
                self._before(self.name, message)
            answer = actor.receive(message)
        except BaseException as error:
            if reply_to is not None:
                reply_to.set_exception(sys.exc_info())
            self._crash(actor, life, error, message)
            return
        if reply_to is not None:
            reply_to.set(answer)
        if self._actor is not actor:
            self._end_if_replaced(actor)

    def _crash(self, actor: Actor | None, life: int, error: BaseException, message: object) -> None:
        logger.error("%s crashed on %.200r", self.name, message, exc_info=error)
        if self._actor is actor:
            self._actor = None
        self._end(actor)
        self._on_crash(Crash(self.name, life, error, message))

    def _end_if_replaced(self, actor: Actor) -> None:
        if self._actor is not actor:
            self._end(actor)

    def _end_life(self) -> None:
        actor, self._actor = self._actor, None
        self._end(actor)

    def _end(self, actor: Actor | None) -> None:
        if actor is not None:
            try:
                actor.end()
            except BaseException:
                logger.exception("%s could not let go of what it held", self.name)

    def _stop(self) -> None:
        if self.actor_stopped.is_set():
            return
        self.actor_stopped.set()
        self._end_life()
        self._actor_loop_teardown()
        self._on_end(self.name)

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self._wake()
