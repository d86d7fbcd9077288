"""Which changes does an app not hear of? They are made on a copy of its databases, one row at a time.

A value that a change does not outdate is computed again. If it comes out differently, something was left out.
"""
