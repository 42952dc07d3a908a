"""The generated parts of docs/reference: from the commands, the settings and the events.

`python -m tools.reference` (`make reference`) writes them anew. A generated part stands between
two comments, and everything around it is written by hand and kept.
"""
