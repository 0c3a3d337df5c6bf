"""The actors that a live bar passes: from the sockets to the file and to whoever listens."""
