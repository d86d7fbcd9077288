"""What does a lead see, and what does somebody on call do? Pages in a browser, served by the app itself.

``App(plugins=[Ledger(...), Planner(), Console()])`` adds ``/console``.
"""

from parbake_console.console_plugin import Console

__all__ = ["Console"]
