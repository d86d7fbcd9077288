"""The assistant's own routes: chat, the shop's system of record, and the page."""
