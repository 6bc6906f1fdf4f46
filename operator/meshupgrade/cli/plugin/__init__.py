"""`kubectl meshupgrade`: shows what the operator does and will do, and carries the decisions of an admin to it.

Commands do the I/O; what they show is made by pure functions out of models (the modules whose names end in _view).
"""
