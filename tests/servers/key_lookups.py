"""Methods of views that look rows up: some name a tag that no trigger raises for the row, and others the row's own."""

from collections.abc import Callable
from typing import NamedTuple


def folded_with_language(view, key):
    """Use a parameter that stands within the key."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days FROM policies WHERE lower(id) = lower(:id) AND lang = :lang", id=key, lang="en")


def padded_with_offset(view, key):
    """Use an offset whose digit stands within the key."""
    view.entity(f"number/{key}")
    return view.rows("SELECT days FROM numbers WHERE id = :id LIMIT :n OFFSET :o", id=key, n=1, o=0)


def padded_composite(view, key):
    """Name two columns, one of which has another type than its parameter."""
    view.entity(f"both/{key}/en")
    return view.rows("SELECT days FROM numbers WHERE id = :id AND lang = :lang", id=key, lang="en")


def folded_composite(view, key):
    """Name two columns, one of which is not compared as it is."""
    view.entity(f"pair/{key}/c")
    return view.rows("SELECT days FROM pairs WHERE lower(shop) = lower(:shop) AND sku = :sku", shop=key, sku="c")


def swapped_composite(view, key):
    """Name two columns in another order than the trigger."""
    view.entity(f"pair/c/{key}")
    return view.rows("SELECT days FROM pairs WHERE shop = :shop AND sku = :sku", shop=key, sku="c")


def parameter_selected(view, key):
    """Select the parameter itself."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days, CAST(:id AS TEXT) FROM policies WHERE lower(id) = lower(:id)", id=key)


def bare_parameter_selected(view, key):
    """Select the parameter itself, under the name of the column."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days, :id AS id FROM policies WHERE lower(id) = lower(:id)", id=key)


def converted_selected(view, key):
    """Select a conversion of the column, and name it."""
    rows = view.rows("SELECT days, lower(id) FROM policies WHERE lower(id) = lower(:id)", id=key)
    view.entity(f"policy/{rows[0][1]}")
    return rows


def converted_behind_star(view, key):
    """Select a conversion of the column behind all columns."""
    rows = view.rows("SELECT days, p.*, lower(id) FROM policies p WHERE lower(id) = lower(:id)", id=key)
    view.entity(f"policy/{rows[0][-1]}")
    return rows


def converted_in_union(view, key):
    """Select a conversion of the column in the second part of a union."""
    rows = view.rows(
        "SELECT days, id FROM policies WHERE days < 0 UNION SELECT days, lower(id) FROM policies WHERE lower(id) = :id",
        id=key,
    )
    view.entity(f"policy/{rows[0][1]}")
    return rows


def by_alias(view, key):
    """Look a row up by another column than the trigger spells."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days FROM policies WHERE alias = :a", a=key)


def by_joined_alias(view, key):
    """Look a row up by the column of another table that is not the foreign key."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days FROM policies p JOIN nicknames n ON n.policy = p.id WHERE n.id = :a", a=key)


class Mixin:
    """Methods of a view that are no view's."""

    def mixed(self, key):
        """Look a row up by a conversion."""
        self.entity(f"policy/{key}")
        return self.rows("SELECT days FROM policies WHERE lower(id) = lower(:id)", id=key)


def from_mixin(view, key):
    """Call a method that the view has from a mixin."""
    return view.mixed(key)


def composite(view, key):
    """Name two columns, in which slashes stand."""
    view.entity(f"pair/{key}/c")
    return view.rows("SELECT days FROM pairs WHERE shop = :shop AND sku = :sku", shop=key, sku="c")


def composite_in_row(view, key):
    """Name two columns, one of which is selected."""
    rows = view.rows("SELECT days, sku FROM pairs WHERE shop = :shop", shop=key)
    view.entity(f"pair/{key}/{rows[0][1]}")
    return rows


def empty_composite(view, key):
    """Name two empty columns."""
    view.entity(f"pair/{key}/{key}")
    return view.rows("SELECT days FROM pairs WHERE shop = :shop AND sku = :sku", shop=key, sku=key)


def by_foreign_key(view, key):
    """Compare the foreign key of a table that is joined by it."""
    view.entity(f"policy/{key}")
    return view.rows(
        "SELECT days, amount FROM parts AS t INNER JOIN policies p ON t.policy = p.id WHERE t.policy = :id", id=key
    )


def by_child(view, key):
    """Read another table alone, a column of which has the name of the captured table."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT 30 FROM children WHERE policies = :id", id=key)


def by_joined_child(view, key):
    """Compare a column of a table that is joined without an alias."""
    view.entity(f"policy/{key}")
    return view.rows("SELECT days, policy FROM parts JOIN policies p ON p.id = policy WHERE parts.policy = :id", id=key)


def by_using(view, key):
    """Compare a column that two tables are joined by."""
    view.entity(f"number/{key}")
    return view.rows("SELECT n.days FROM numbers n JOIN (SELECT id FROM numbers) m USING (id) WHERE m.id = :id", id=key)


def from_row(view, key):
    """Look a row up by a conversion, and name the value of its own column."""
    rows = view.rows('SELECT days, p."id" AS found, amount FROM policies p, parts WHERE lower(p.id) = lower(:k)', k=key)
    view.entity(f"policy/{rows[0][1]}")
    return rows


def from_star(view, key):
    """Select all columns, and name one of them."""
    rows = view.rows("SELECT days, upper(lang), p.* FROM policies p WHERE alias = :alias", alias=key)
    view.entity(f"policy/{rows[0][2]}")
    return rows


def from_union(view, key):
    """Name a column that each part of a union selects."""
    rows = view.rows(
        "SELECT days, id FROM policies WHERE alias = :a UNION SELECT days, id FROM policies WHERE lang = :a", a=key
    )
    view.entity(f"policy/{rows[0][1]}")
    return rows


def from_greatest(view, key):
    """Name the greatest value of a column."""
    rows = view.rows("SELECT min(days), max(id), CAST(max(lang) AS TEXT) FROM policies WHERE alias = :alias", alias=key)
    view.entity(f"policy/{rows[0][1]}")
    return rows


def from_common_table(view, key):
    """Name a column that a common table expression hands on."""
    rows = view.rows("WITH p AS (SELECT days, id FROM policies WHERE alias = :alias) SELECT days, id FROM p", alias=key)
    view.entity(f"policy/{rows[0][1]}")
    return rows


class Lookup(NamedTuple):
    """A method of a view, and a key with which it finds a row."""

    method: Callable
    type: type
    key: object


WRONG = [
    Lookup(folded_with_language, str, "garden"), Lookup(padded_with_offset, str, "07"),
    Lookup(padded_composite, str, "07"), Lookup(folded_composite, str, "A/B"), Lookup(swapped_composite, str, "a/b"),
    Lookup(parameter_selected, str, "garden"), Lookup(bare_parameter_selected, str, "garden"),
    Lookup(converted_selected, str, "GARDEN"), Lookup(converted_behind_star, str, "GARDEN"),
    Lookup(converted_in_union, str, "garden"), Lookup(by_alias, str, "x"), Lookup(by_joined_alias, str, "x"),
    Lookup(from_mixin, str, "garden"),
]  # fmt: skip
HONEST = [
    Lookup(composite, str, "a/b"), Lookup(composite_in_row, str, "a/b"), Lookup(empty_composite, str, ""),
    Lookup(by_foreign_key, str, "Garden"), Lookup(by_joined_child, str, "Garden"), Lookup(by_using, int, 7),
    Lookup(from_row, str, "garden"),
    Lookup(from_star, str, "x"), Lookup(from_union, str, "x"), Lookup(from_greatest, str, "x"),
    Lookup(from_common_table, str, "x"),
]  # fmt: skip
