"""Checks that need programs of their own or much time. Not collected by pytest: run as scripts."""
