"""Faults on real sockets, files and processes that take too long, or too much of the machine, for every test run.

    python -m tests.faults                    what there is
    python -m tests.faults kill --times 10    one of them
    python -m tests.faults all                all of them, one after the other

Each starts services on a simulated exchange on loopback, does them harm, and ends with one line: what was seen. The
exit status is 0 when all held, 1 when something did not, 2 when something cannot be tried on this machine.
"""
