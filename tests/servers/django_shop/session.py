"""A process of the shop, which executes what a test sends: ``python -m tests.servers.django_shop.session``."""

import ast
import json
import os
import sys
import traceback

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.django_shop.settings")


def run(code, names):
    """Execute code, and return the value of its last line if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<test>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<test>", "eval"), names)


def main():
    """Execute each line of the input, and print what came of it."""
    import django

    django.setup()
    names = {}
    exec("from tests.servers.django_shop.prelude import *", names)
    print(json.dumps({"value": "ready"}), flush=True)
    for line in sys.stdin:
        try:
            print(json.dumps({"value": run(json.loads(line), names)}, default=repr), flush=True)
        except Exception:  # noqa: BLE001  # the test is told
            print(json.dumps({"error": traceback.format_exc()}), flush=True)


if __name__ == "__main__":
    main()
