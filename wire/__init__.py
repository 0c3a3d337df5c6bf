"""The exchange's language, in both directions: what it says, and what we say in its words.

Pure text and objects; no sockets. Written once and used three times: the client understands with it,
the web side speaks it, the simulated exchange plays it.
"""
