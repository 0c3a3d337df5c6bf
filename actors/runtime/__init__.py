"""How actors run: cells with mailboxes, dispatchers, restarts, the supervisor."""
