"""One DynamoDB table with consistent reads. Everything here blocks and is called from threads.

The client repeats a request that got no answer. This is harmless for reads and for writes of fixed values. A
transaction carries a token by which the server recognises a repetition.
"""

from __future__ import annotations

import contextlib
import functools
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from parbake.adapters._dynamodb_layout import Manifest, Place
from parbake.adapters._dynamodb_wire import ItemChange, StoredItem, action_of, found_in, item_of, key_of
from parbake.errors import ForeignStore, MissingDependency, StoreError, StoreUnreachable
from parbake.values.backoff import Backoff

try:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError as missing:
    raise MissingDependency.of("a DynamoDB store", "dynamodb", field="boto3") from missing

READ_AT_ONCE, WRITTEN_AT_ONCE, MAX_ITEMS = 100, 25, 100
CONNECT_S, _ACTIVE_S = 2.0, 120.0
_ATTEMPTS, _BACKOFF = 8, Backoff(0.02, 2.56)
_CONFLICTS = 5
_DENIED = {
    "AccessDeniedException", "ExpiredTokenException", "IncompleteSignatureException", "InvalidSignatureException",
    "MissingAuthenticationTokenException", "UnrecognizedClientException",
}  # fmt: skip
_PERMISSIONS = {"TransactWriteItems": "PutItem, DeleteItem and ConditionCheckItem", "BatchWriteItem": "BatchWriteItem"}
_CHECK_FAILED, _CONFLICT = "ConditionalCheckFailed", "TransactionConflict"
_BUSY = {_CONFLICT, "ProvisionedThroughputExceeded", "ThrottlingError"}


class TableAddress(msgspec.Struct, frozen=True):
    """Where a table is.

    ``endpoint`` is empty for the region's own endpoint; ``timeout_s`` bounds a request, in seconds.
    """

    region: str
    table: str
    endpoint: str = ""
    timeout_s: float = 5.0

    @property
    def shown(self) -> str:
        """The address as a URL for messages; it contains no secret."""
        return f"dynamodb://{self.region}/{self.table}"


class Missing(StoreError):
    """The table does not exist."""


class Exists(StoreError):
    """The table exists already, or is being created."""


class Table:
    """A table and its client, which threads may share."""

    def __init__(self, address: TableAddress, threads: int) -> None:
        """Create the client, without connecting yet; ``threads`` is the number of connections."""
        self.address = address
        config = Config(
            connect_timeout=min(CONNECT_S, address.timeout_s),
            read_timeout=address.timeout_s,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=threads,
        )
        self._client: Any = self._guarded(
            "CreateClient",
            # Use a separate session: creating clients from the shared one is not thread-safe.
            lambda: Session().client(
                "dynamodb", region_name=address.region, endpoint_url=address.endpoint or None, config=config
            ),
        )

    def describe(self) -> str:
        """Return the identity of the table, which a restore changes. Raises if it is missing or not a store's table."""
        found = self._ask("describe_table", TableName=self.address.table)["Table"]
        keys = {entry["KeyType"]: entry["AttributeName"] for entry in found["KeySchema"]}
        types = {entry["AttributeName"]: entry["AttributeType"] for entry in found["AttributeDefinitions"]}
        if keys != {"HASH": "p", "RANGE": "k"} or types.get("p") != "B" or types.get("k") != "B":
            raise ForeignStore(
                f"{self.address.shown} must have the binary keys p and k; parbake did not create it, so name "
                "another table",
                field="store",
            )
        if found["TableStatus"] not in {"ACTIVE", "UPDATING"}:
            raise StoreError(f"{self.address.shown} is {found['TableStatus'].lower()}, not active", field="store")
        return str(found.get("TableId") or f"{found['TableArn']}@{found['CreationDateTime']}")

    def exists(self) -> bool:
        """Whether a table of that name exists, active or not."""
        try:
            self._ask("describe_table", TableName=self.address.table)
        except Missing:
            return False
        return True

    def create(self) -> None:
        """Create the table, billed per request; an existing table is left alone."""
        with contextlib.suppress(Exists):
            self._ask(
                "create_table",
                TableName=self.address.table,
                KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "B"} for name in ("p", "k")],
                BillingMode="PAY_PER_REQUEST",
            )

    def wait(self) -> None:
        """Wait until a table that is being created is active."""
        deadline = time.monotonic() + _ACTIVE_S
        while self._ask("describe_table", TableName=self.address.table)["Table"]["TableStatus"] == "CREATING":
            if time.monotonic() > deadline:
                raise StoreError(f"{self.address.shown} is not active after {_ACTIVE_S:g} s", field="store")
            time.sleep(0.5)

    def get(self, places: Sequence[Place], *, is_value_wanted: bool = True) -> dict[Place, StoredItem]:
        """Read up to 100 different places; an absent item is left out."""
        wanted = {} if is_value_wanted else {"ProjectionExpression": "p, k, m"}
        if len(places) == 1:
            key = key_of(places[0])
            answer = self._ask("get_item", TableName=self.address.table, Key=key, ConsistentRead=True, **wanted)
            return {places[0]: found_in(answer["Item"])} if "Item" in answer else {}
        found: dict[Place, StoredItem] = {}
        table = self.address.table
        keys: Any = {table: {"Keys": [key_of(place) for place in places], "ConsistentRead": True, **wanted}}
        for pause in self._pauses("BatchGetItem"):
            answer = self._ask("batch_get_item", RequestItems=keys)
            found |= {item.place: item for item in map(found_in, answer["Responses"].get(table, ()))}
            keys = answer.get("UnprocessedKeys")
            if not keys:
                break
            pause()
        return found

    def write(self, items: Mapping[Place, bytes | Manifest | None]) -> None:
        """Put up to 25 items without conditions; ``None`` deletes an item."""
        requests: Any = [
            {"DeleteRequest": {"Key": key_of(place)}}
            if value is None
            else {"PutRequest": {"Item": item_of(place, value)}}
            for place, value in items.items()
        ]
        requests = {self.address.table: requests}
        for pause in self._pauses("BatchWriteItem"):
            requests = self._ask("batch_write_item", RequestItems=requests).get("UnprocessedItems")
            if not requests:
                break
            pause()

    def transact(self, changes: Sequence[ItemChange]) -> bool:
        """Make all changes or none; ``False`` if a check failed or other writers kept the items busy."""
        if len(changes) > MAX_ITEMS:
            raise StoreError(
                f"{self.address.shown} takes at most {MAX_ITEMS} items in one step, got {len(changes)}; split the step",
                field="store",
            )
        actions = [action_of(self.address.table, change) for change in changes]
        # The same token for every repetition: the server then treats all of them as one transaction.
        token, refused = secrets.token_hex(16), set[str]()
        for attempt in range(_CONFLICTS):
            try:
                self._client.transact_write_items(TransactItems=actions, ClientRequestToken=token)
                return True
            except (ClientError, BotoCoreError) as error:
                refused = _cancellations(error)
                if _CHECK_FAILED in refused:
                    return False
                is_under_way = _code(error) == "TransactionInProgressException"
                is_last = attempt == _CONFLICTS - 1 and _CONFLICT not in refused
                if is_last or not (is_under_way or (refused and refused <= _BUSY)):
                    raise self._failure("TransactWriteItems", error) from None
            if refused:
                token = secrets.token_hex(16)
            _pause(attempt)
        return False

    def query(self, group: bytes, between: tuple[bytes, bytes], limit: int) -> list[StoredItem]:
        """Read items of one partition in order.

        Args:
            group: The partition.
            between: The first and the last sort key, both included.
            limit: The greatest number of items.
        """
        found: list[StoredItem] = []
        for answer in self._answers("query", {**_within(group, between), "Limit": limit}):
            found += map(found_in, answer["Items"])
            if len(found) >= limit:
                break
        return found[:limit]

    def count(self, group: bytes, between: tuple[bytes, bytes]) -> int:
        """Count items of one partition without transferring them.

        Args:
            group: The partition.
            between: The first and the last sort key, both included.
        """
        asked = {**_within(group, between), "Select": "COUNT"}
        return sum(int(answer["Count"]) for answer in self._answers("query", asked))

    def scan(self, between: tuple[bytes, bytes]) -> Iterator[Place]:
        """Read the whole table and yield every place whose partition lies between two, both included, in no order."""
        asked = {
            "FilterExpression": "p BETWEEN :least AND :most",
            "ExpressionAttributeValues": {":least": {"B": between[0]}, ":most": {"B": between[1]}},
            "ProjectionExpression": "p, k",
        }
        for answer in self._answers("scan", asked):
            yield from (found_in(item).place for item in answer["Items"])

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def _answers(self, operation: str, asked: Mapping[str, Any]) -> Iterator[Any]:
        further: dict[str, Any] = {}
        while True:
            answer = self._ask(operation, TableName=self.address.table, ConsistentRead=True, **asked, **further)
            yield answer
            if not answer.get("LastEvaluatedKey"):
                return
            further = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _pauses(self, operation: str) -> Iterator[Callable[[], None]]:
        """Yield one pause for each repetition of a partly done batch, then raise the error."""
        for attempt in range(_ATTEMPTS):
            yield functools.partial(_pause, attempt)
        raise StoreError(
            f"{self.address.shown} is throttled: {operation} was done only in part; try again",
            field="store",
        )

    def _ask(self, operation: str, **arguments: Any) -> Any:
        name = "".join(word.title() for word in operation.split("_"))
        return self._guarded(name, lambda: getattr(self._client, operation)(**arguments))

    def _guarded(self, operation: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (ClientError, BotoCoreError, ValueError) as error:
            raise self._failure(operation, error) from None  # drop the cause: its text may contain credentials

    def _failure(self, operation: str, error: Exception) -> StoreError:
        shown, code = self.address.shown, _code(error)
        if code == "ResourceNotFoundException":
            return Missing(
                f"the table {shown} does not exist; create it, or let parbake do it with ?create=true", field="store"
            )
        if code == "ResourceInUseException":
            return Exists(f"{shown} is being made or changed", field="store")
        if code in _DENIED:
            needed = _PERMISSIONS.get(operation, operation)
            return StoreError(
                f"{shown} refuses {operation} ({code}): the credentials must be valid and permit dynamodb:{needed}",
                field="store.permission",
            )
        kind = StoreError if code else StoreUnreachable
        return kind(f"{shown}: {operation} failed ({type(error).__name__}: {error})", field="store")


def _within(group: bytes, between: tuple[bytes, bytes]) -> dict[str, Any]:
    """Ask for the items of one partition between two sort keys."""
    return {
        "KeyConditionExpression": "p = :p AND k BETWEEN :least AND :most",
        "ExpressionAttributeValues": {":p": {"B": group}, ":least": {"B": between[0]}, ":most": {"B": between[1]}},
    }


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _cancellations(error: Exception) -> set[str]:
    """The reasons why a transaction was certainly not made; empty if that is not certain."""
    reasons = error.response.get("CancellationReasons", ()) if isinstance(error, ClientError) else ()
    return {str(reason.get("Code")) for reason in reasons} - {"None"}


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0.5, 1.0) * _BACKOFF.pause_s(attempt))  # noqa: S311  # spreads retries; not security-relevant
