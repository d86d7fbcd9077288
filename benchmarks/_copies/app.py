"""What each server of the rounds serves."""

import os

from _copies.tasks import make_app

app = make_app(os.environ)
