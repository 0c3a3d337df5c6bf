"""What stands between people and the actors: the command line, the log, progress and tables on a terminal."""
