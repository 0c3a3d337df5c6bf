"""Faults that take too long, or too much of the machine, for every test run: scripts to be started by hand."""
