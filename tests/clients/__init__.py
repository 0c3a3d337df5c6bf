"""Other people's clients, as pip installs them, against a running service: their history, their live bars.

How each is told where Barkeep is, is the README's own text: the tests run its snippets.
"""
