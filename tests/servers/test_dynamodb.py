"""The DynamoDB driver on a local server: the public suite, large values, foreign tables and credentials."""

import asyncio
import collections
import itertools
import json
import os
import sys

import boto3
import pytest
from tests import prefork
from tests.servers import launch
from tests.servers.opening import opening

from parbake.adapters import _dynamodb_layout as layout
from parbake.adapters.dynamodb import MAX_ITEMS, DynamoItems, open_url
from parbake.errors import ForeignStore, MissingDependency, StoreError
from parbake.stores import open_store
from parbake.stores.steps.item_names import base_key, base_of
from parbake.stores.steps.item_steps import Commit
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import ItemsSuite
from parbake.testing.store_suite import StoreSuite, make_record

REGION = "eu-central-1"
SECRET = "testing-secret"
tables = (f"parbake-{os.getpid()}-{n}" for n in itertools.count(1))
pytestmark = pytest.mark.usefixtures("aws_environment")


class TestDynamo(ItemsSuite):
    """DynamoDB."""

    @pytest.fixture(autouse=True)
    def _table(self, dynamodb_endpoint):
        self.endpoint, self.table = dynamodb_endpoint, next(tables)

    async def open_items(self, tmp_path):
        """Open another client."""
        items = DynamoItems.from_url(f"dynamodb://{REGION}/{self.table}?endpoint={self.endpoint}&create=true")
        await items.open()
        return items

    async def cut_off(self, items):
        """Make the client's requests fail; the server still serves other tests."""
        items._table._client.meta.events.register("before-send", refuse)


class TestStoreOnDynamo(StoreSuite):
    """``dynamodb://``."""

    @pytest.fixture(autouse=True)
    def _url(self, dynamodb_endpoint):
        self.url = f"dynamodb://{REGION}/{next(tables)}?endpoint={dynamodb_endpoint}&create=true"

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(self.url)


def refuse(request, **_):
    """Raise the error of a broken connection."""
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url=request.url)


@pytest.fixture
async def opened(dynamodb_endpoint):
    """Return a function that opens items of a table and closes them after the test."""
    async with opening(DynamoItems) as open_items:

        async def open_table(table, **options):
            options = {"endpoint": dynamodb_endpoint, "create": "true", **options}
            return await open_items(f"dynamodb://{REGION}/{table}", **options)

        yield open_table


@pytest.fixture
def client(dynamodb_endpoint):
    """Return a client that accesses the server without the driver."""
    found = boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamodb_endpoint)
    yield found
    found.close()


def everything(client, table):
    """Yield every item of a table."""
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def rows_of(client, table):
    """Return the number of items in a table, with parts."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return sum(page["Count"] for page in pages)


async def test_a_missing_table_is_refused_or_made(opened, client):
    """A missing table is refused without create=true, and with it created with on-demand billing."""
    table = next(tables)
    with pytest.raises(StoreError, match="create=true"):
        await opened(table, create="false")
    await opened(table)
    assert client.describe_table(TableName=table)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    await opened(table, create="false")


async def test_two_processes_may_create_at_once(opened):
    """Of two concurrent clients one creates the table and both use it."""
    table = next(tables)
    one, two = await asyncio.gather(opened(table), opened(table))
    assert one.host == two.host


async def test_a_foreign_table_is_refused(opened, client):
    """A table with other keys is refused and not changed."""
    table = next(tables)
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(ForeignStore, match="did not create it"):
        await opened(table)
    assert rows_of(client, table) == 0


async def test_a_table_that_was_replaced_while_nobody_asked_is_another_host(opened, client, monkeypatch):
    """After some idle time the identity is read again, although no call has failed."""
    monkeypatch.setattr("parbake.adapters.dynamodb.IDLE_S", 0.5)
    table = next(tables)
    items = await opened(table)
    await items.put([(b"ca", b"1")])
    before = items.host
    client.delete_table(TableName=table)
    await asyncio.sleep(1.1)  # the identity is the creation time, in whole seconds
    await opened(table)
    assert await items.fetch([b"ca"]) == [None]
    assert items.host != before


async def test_a_table_that_was_replaced_is_another_host(opened, client):
    """After a table was deleted and made again, the host's identity is read again and differs."""
    table = next(tables)
    items = await opened(table)
    await items.put([(b"ca", b"1")])
    before = items.host
    client.delete_table(TableName=table)
    with pytest.raises(StoreError, match="does not exist"):
        await items.fetch([b"ca"])
    await asyncio.sleep(1.1)  # the identity is the creation time, in whole seconds
    await opened(table)
    assert await items.fetch([b"ca"]) == [None]
    assert items.host != before


async def test_a_large_value_lies_in_parts_that_go_with_it(opened, client):
    """A megabyte is stored as a manifest and parts, which are deleted with the value."""
    table = next(tables)
    items = await opened(table)
    large = [os.urandom(1_000_000) for _ in range(3)]
    assert await items.commit(Commit({b"ca": None}, {b"ca": large[0]}))
    assert rows_of(client, table) == 4
    assert not await items.commit(Commit({b"ca": large[1]}, {b"ca": large[2]}))
    assert not await items.commit(Commit({b"ca": large[0], b"cb": b"x"}, {b"ca": large[2]}))
    assert rows_of(client, table) == 4
    assert await items.commit(Commit({b"ca": large[0]}, {b"ca": large[1]}))
    assert await items.commit(Commit({b"ca": large[1]}, {b"cb": b"checked only"}))
    assert await items.fetch([b"ca"]) == [large[1]]
    assert rows_of(client, table) == 5
    assert await items.commit(Commit({b"ca": large[1]}, {b"ca": None}))
    await items.put([(b"bgeneratiok%d" % n, value) for n, value in enumerate(large)])
    assert sorted(value for _, value in await items.range(b"bgenerati", b"", 9)) == sorted(large)
    await items.remove([b"bgenerati", *(b"bgeneratiok%d" % n for n in range(3))])
    assert rows_of(client, table) == 1


async def test_a_value_replaced_while_it_is_read_is_read_again(opened, monkeypatch):
    """If a value is replaced during a read, the new value is returned."""
    table = next(tables)
    items, other = await opened(table), await opened(table)
    old, new = os.urandom(500_000), os.urandom(800_000)
    await items.commit(Commit({}, {b"ca": old}))
    assemble, replaced = items._assemble, []

    async def late(place, manifest):
        if not replaced:
            replaced.append(await other.commit(Commit({b"ca": old}, {b"ca": new})))
        return await assemble(place, manifest)

    monkeypatch.setattr(items, "_assemble", late)
    assert await items.fetch([b"ca"]) == [new]
    assert replaced == [True]


async def test_the_rows_of_a_generation_are_spread_over_partitions(opened, client):
    """No partition key has more than a small share of a generation's rows, and all of them are found and swept."""
    table = next(tables)
    store = OptimisticStore(await opened(table))
    generation, stamp, _ = await store.begin()
    keys = [b"user-%d" % n for n in range(1000)]
    await store.write_base("t@1", generation, [(key, make_record(stamp)) for key in keys])
    counted = collections.Counter(item["p"]["B"] for item in everything(client, table) if item["p"]["B"][:1] == b"b")
    assert sum(counted.values()) == len(keys)
    assert len(counted) > layout.BUCKETS * 0.9
    assert max(counted.values()) <= len(keys) * 0.02
    assert await store.rows(generation) == len(keys)
    assert [len((await store.read("t@1", key, generation=generation)).records) for key in keys[:5]] == [1] * 5
    assert await store.sweep([generation]) == len(keys)
    assert [item for item in everything(client, table) if item["p"]["B"][:1] in b"bB"] == []


async def test_the_number_of_partitions_is_that_of_the_generation(opened, monkeypatch):
    """A generation keeps the number that it began with, also for a version that spreads new ones otherwise."""
    table = next(tables)
    items = await opened(table)
    rows = [(base_key(7, b"key-%d" % n), b"%d" % n) for n in range(50)]
    await items.put(rows)
    monkeypatch.setattr(layout, "BUCKETS", 8)
    later = await opened(table)
    assert await later.fetch([name for name, _ in rows]) == [value for _, value in rows]
    await later.put([(base_key(7, b"more"), b"x"), (base_key(8, b"new"), b"y")])
    assert await items.fetch([base_key(7, b"more"), base_key(8, b"new")]) == [b"x", b"y"]
    assert await later.count(base_of(7)) == 51


async def test_parts_that_are_missing_are_an_error(opened):
    """A value with a missing part is an error."""
    items = await opened(next(tables))
    await items.commit(Commit({}, {b"ca": os.urandom(500_000)}))
    (head,) = (await items._read([layout.place_of(b"ca", {})])).values()
    await items._write({head.manifest.places()[0]: None})
    with pytest.raises(StoreError, match="missing"):
        await items.fetch([b"ca"])


async def test_more_than_a_hundred_items_are_refused(opened):
    """A commit of more than a hundred items is refused before anything is sent."""
    items = await opened(next(tables))
    assert await items.commit(Commit({}, {b"n%d" % n: b"" for n in range(MAX_ITEMS)}))
    with pytest.raises(StoreError, match="split"):
        await items.commit(Commit({b"x": None}, {b"m%d" % n: b"" for n in range(MAX_ITEMS)}))
    assert await items.fetch([b"m0"]) == [None]


async def test_a_transaction_without_an_answer_is_repeated_under_its_token(opened, monkeypatch):
    """A transaction without an answer is sent again with the same token."""
    from botocore.exceptions import ReadTimeoutError

    items = await opened(next(tables))
    session = items._table._client._endpoint.http_session
    send, tokens = session.send, []

    def lose_the_first(request):
        tokens.append(json.loads(request.body)["ClientRequestToken"])
        if len(tokens) == 1:
            raise ReadTimeoutError(endpoint_url=request.url)
        return send(request)

    monkeypatch.setattr(session, "send", lose_the_first)
    assert await items.commit(Commit({b"ca": None}, {b"ca": b"1"}))
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("codes", [["TransactionConflict"], ["None", "TransactionConflict"], ["ThrottlingError"]])
async def test_conflicts_are_tried_again_and_then_refused(opened, monkeypatch, codes):
    """Repeated conflicts return ``False`` after five attempts; throttling raises an error."""
    from botocore.exceptions import ClientError

    items = await opened(next(tables))
    answer = {
        "Error": {"Code": "TransactionCanceledException", "Message": "x"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    attempts = []

    def cancel(**arguments):
        attempts.append(arguments["ClientRequestToken"])
        raise ClientError(answer, "TransactWriteItems")

    monkeypatch.setattr(items._table._client, "transact_write_items", cancel)
    if codes == ["ThrottlingError"]:
        with pytest.raises(StoreError, match="Canceled"):
            await items.commit(Commit({}, {b"ca": b"1"}))
    else:
        assert not await items.commit(Commit({}, {b"ca": b"1"}))
    assert len(set(attempts)) == len(attempts) == 5


async def test_a_transaction_under_way_is_awaited_and_never_called_refused(opened, monkeypatch):
    """A transaction in progress is retried with the same token, and then raises an error."""
    from botocore.exceptions import ClientError

    items = await opened(next(tables))
    tokens = []

    def busy(**arguments):
        tokens.append(arguments["ClientRequestToken"])
        raise ClientError({"Error": {"Code": "TransactionInProgressException", "Message": "x"}}, "TransactWriteItems")

    monkeypatch.setattr(items._table._client, "transact_write_items", busy)
    with pytest.raises(StoreError, match="InProgress"):
        await items.commit(Commit({}, {b"ca": b"1"}))
    assert len(tokens) == 5
    assert len(set(tokens)) == 1


async def test_a_table_that_is_being_made_is_awaited(opened, monkeypatch):
    """A table that is being created is awaited with create=true; one that is being deleted is an error."""
    table = next(tables)
    items = await opened(table)
    client = items._table._client
    describe, states = client.describe_table, ["CREATING", "CREATING", "CREATING"]

    def described(**arguments):
        found = describe(**arguments)
        found["Table"]["TableStatus"] = states.pop() if states else "ACTIVE"
        return found

    monkeypatch.setattr(client, "describe_table", described)
    monkeypatch.setattr("parbake.adapters._dynamodb_table.time.sleep", lambda seconds: None)
    await items.open()
    assert states == []
    states.append("DELETING")
    items._is_created = False
    with pytest.raises(StoreError, match="deleting"):
        await items.open()


async def test_what_a_batch_leaves_undone_is_done_again(opened, monkeypatch):
    """Unprocessed keys and items are sent again, and it is an error if they never are processed."""
    items = await opened(next(tables))
    rows = [(b"n%d" % n, b"v%d" % n) for n in range(20)]
    client = items._table._client
    write, read, left = client.batch_write_item, client.batch_get_item, []

    def write_half(RequestItems):  # noqa: N803  # the client's own name
        ((table, requests),) = RequestItems.items()
        half = len(requests) // 2
        write(RequestItems={table: requests[half:]})
        left.append(half)
        return {"UnprocessedItems": {table: requests[:half]} if half else {}}

    def read_half(RequestItems):  # noqa: N803  # the client's own name
        ((table, asked),) = RequestItems.items()
        half = len(asked["Keys"]) // 2
        answer = read(RequestItems={table: {**asked, "Keys": asked["Keys"][half:]}})
        return {**answer, "UnprocessedKeys": {table: {**asked, "Keys": asked["Keys"][:half]}} if half else {}}

    monkeypatch.setattr(client, "batch_write_item", write_half)
    monkeypatch.setattr(client, "batch_get_item", read_half)
    await items.put(rows)
    assert await items.fetch([name for name, _ in rows]) == [value for _, value in rows]
    assert left == [10, 5, 2, 1, 0]
    monkeypatch.setattr(client, "batch_get_item", lambda **asked: {"Responses": {}, "UnprocessedKeys": asked})
    monkeypatch.setattr("parbake.adapters._dynamodb_table._pause", lambda attempt: None)
    with pytest.raises(StoreError, match="throttled"):
        await items.fetch([b"n0", b"n1"])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AccessDeniedException", "dynamodb:GetItem"),
        ("UnrecognizedClientException", "credentials"),
        ("ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded"),
    ],
)
async def test_a_refusal_names_the_permission_and_no_secret(opened, monkeypatch, code, told):
    """A refusal names the permission and does not pass on the server's message."""
    from botocore.exceptions import ClientError

    items = await opened(next(tables))

    def refused(**_):
        raise ClientError({"Error": {"Code": code, "Message": "no" if "Access" not in code else SECRET}}, "GetItem")

    monkeypatch.setattr(items._table._client, "get_item", refused)
    with pytest.raises(StoreError, match=told) as caught:
        await items.fetch([b"ca"])
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_without_credentials_the_error_is_plain(opened, monkeypatch, tmp_path):
    """Missing credentials and a server that does not answer raise ``StoreError``."""
    with pytest.raises(StoreError, match="DescribeTable"):
        await opened(next(tables), endpoint="http://127.0.0.1:1", timeout_s="0.5")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="credentials"):
        await opened(next(tables))


async def test_a_server_that_hangs_is_an_error_in_seconds():
    """A suspended server raises ``StoreError`` long before the client would."""
    server = launch.Moto()
    url = f"dynamodb://{REGION}/hanging?endpoint={server.endpoint}&create=true"
    patient, items = DynamoItems.from_url(url), DynamoItems.from_url(f"{url}&timeout_s=1")
    try:
        await patient.open()  # the first request of a server takes long
        await items.open()
        server.stop()
        async with asyncio.timeout(60):  # the client's own limit for one attempt
            with pytest.raises(StoreError, match="GetItem"):
                await items.fetch([b"ca"])
    finally:
        server.cont()
        server.kill()
        await items.close()
        await patient.close()


async def test_closed_items_say_so(opened):
    """A call before opening or after closing raises ``StoreError``."""
    items = await opened(next(tables))
    await items.close()
    with pytest.raises(StoreError, match="closed"):
        await items.fetch([b"ca"])
    fresh = DynamoItems.from_url(f"dynamodb://{REGION}/shop")
    with pytest.raises(StoreError, match="not open"):
        await fresh.fetch([b"ca"])
    await fresh.close()


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://shop",
        "dynamodb://eu-central-1/a/b",
        "dynamodb://eu-central-1/shop?creat=true",
        "dynamodb://eu-central-1/shop?timeout_s=0",
        "dynamodb://eu-central-1/shop?timeout_s=soon",
        f"dynamodb://eu-central-1/shop?endpoint=http://me:{SECRET}@host",
        f"dynamodb://me:{SECRET}@eu-central-1/shop",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url):
    """An invalid URL, or one with credentials, is refused and the credentials are not shown."""
    with pytest.raises(StoreError) as caught:
        open_url(url)
    assert caught.value.field.startswith("store")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [b"c", b"ot@1\0", b"ot@1\0key\0\xff", b"b\0\0\0\0\0\0\0\7k\0", b"b\0", b"e\0\1", b"pu\0", b"wpolicy/a", b"w"],
)
def test_a_place_tells_its_name(name):
    """An item's keys are never empty and give its name back."""
    place = layout.place_of(name, {})
    assert place.p
    assert place.k
    assert layout.name_of(place) == name


def test_without_the_client_the_extra_is_named(monkeypatch):
    """Without boto3 the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    monkeypatch.delitem(sys.modules, "parbake.adapters.dynamodb")
    monkeypatch.delitem(sys.modules, "parbake.adapters._dynamodb_table")
    with pytest.raises(MissingDependency, match=r"\.\[dynamodb\]"):
        __import__("parbake.adapters.dynamodb")


def test_children_connect_for_themselves(dynamodb_endpoint, tmp_path):
    """Forked workers serve and publish with their own connections, and the parent sees their events."""
    url = f"dynamodb://{REGION}/{next(tables)}?endpoint={dynamodb_endpoint}&create=true"
    workers, parent, complained = prefork.run(tmp_path, url)
    prefork.check(workers, parent, complained)
    assert parent["told"] > 0
