"""What the pages of docs/reference say besides what stands in the code."""

from __future__ import annotations

API = """Signatures are shown as they are written in the code. `await f(...)` marks a coroutine. The errors are listed
on [the page about HTTP](http.md#problems) with the status that each answers with.
"""
NOTES = {
    "GIVEN": "The default of a `Source` or `Resource` parameter of a live or refine task. parbake passes the value, so "
    "callers leave it out.",
    "Keys": "Annotates the first parameter of an artifact that computes many keys in one call.",
    "Live": "Annotates a parameter that exists only at request time.",
    "Resource": "Annotates a parameter that `App(resources=...)` provides: a client that holds no state of a request.",
    "Source": "Annotates a parameter that is a view of a source. What is read through it is recorded.",
}
API_PACKAGES = [
    ("`parbake_planner`", "parbake_planner", "Costs, plans and triggers. See [the guide](../howto/costs.md)."),
    ("`parbake_proxy`", "parbake_proxy", "A cache in front of a provider. See [the guide](../howto/proxy.md)."),
    ("`parbake_console`", "parbake_console", "Pages in a browser. See [the guide](../howto/console.md)."),
    ("`parbake_semantic`", "parbake_semantic",
     "A cache and compiled questions; needs the extra `semantic`. See [the guide](../howto/semantic-cache.md)."),
    ("`parbake_semantic.guard`", "parbake_semantic.guard", "What may leave in a generated reply."),
    ("`parbake_llm`", "parbake_llm",
     "How a prompt is written, so that a provider can hold its beginning. See [the guide](../howto/prompts.md)."),
    ("`parbake_llm.prefix_caches`", "parbake_llm.prefix_caches",
     "What a provider's cache should hold, by its rules. For generators and benchmarks of your own."),
    ("`parbake.http`", "parbake.http", "An ASGI application. See [the guide](../howto/http.md)."),
    ("`parbake.testing`", "parbake.testing",
     "Clocks for tests, and a conformance suite for each port. See [the guide](../howto/testing.md)."),
    ("`parbake_llm.testing`", "parbake_llm.testing",
     "A server that stands in for a provider. See [how](../howto/write-a-provider.md#test-without-a-provider)."),
]  # fmt: skip
API_OBJECTS = [
    ("`app.ops`", "parbake.app.operations", "Operations", "What operators and schedulers do. Every app has it."),
    ("`app.plugins[parbake_planner.Ledger]`", "parbake_planner.books", "Books",
     "What lanes cost, and the answers given."),
    ("`app.plugins[parbake_planner.Planner]`", "parbake_planner.plans", "Plans", "Plans, and reasons to change them."),
    ("`app.plugins[parbake_llm.Prompts]`", "parbake_llm.prompts_plugin", "PromptDesk", "Prefixes of prompts."),
    ("`app.sync`", "parbake.app.sync", "SyncApp",
     "The same for synchronous code: see [a guide](../howto/processes.md)."),
]  # fmt: skip
BESIDE = [
    ("parbake.app.cached", "CachedFunction"),
    ("parbake.app.plugin", "Core"),
    ("parbake.ports.observers", "Observers"),
    ("parbake.ports.offers", "Port"),
    ("parbake.tasks.contract", "KeyChoice"),
    ("parbake.tasks.task_types", "TaskKind"),
    ("parbake.lanes.batch.lane", "Run"),
    ("parbake.lanes.batch.lane", "BuiltTask"),
    ("parbake.ports.event_log", "Ack"),
    ("parbake.ports.cloudevents", "CloudEvent"),
    ("parbake.protocol.cause", "Cause"),
    ("parbake.protocol.cause", "Reason"),
    ("parbake.protocol.record", "Stamp"),
    ("parbake.tasks.contract", "Exponential"),
    ("parbake.tasks.contract", "Linear"),
    ("parbake.tasks.contract", "Steps"),
    ("parbake.tasks.gates", "Generation"),
    ("parbake.tasks.retention", "Retention"),
    ("parbake.tasks.task_types", "Artifact"),
    ("parbake.tasks.task_types", "LiveTask"),
    ("parbake.tasks.task_types", "ModelTask"),
    ("parbake.tasks.task_types", "Refine"),
    ("parbake.lanes.batch.throttle", "Throttle"),
    ("parbake.values.codecs", "Codec"),
]
"""What users name now and then, and import from its own module."""
PORTS = """The protocols that adapters implement. Whoever writes an adapter imports them from the module that is named
here; [a store](../howto/write-a-store.md) and [a provider](../howto/write-a-provider.md) are described in guides.
"""
ADAPTERS = """Each adapter is imported from its own module. A store and a broker can also be named by a URL; the
options of each stand on [the page about settings](settings.md#urls).
"""
ADAPTED = [
    ("parbake.stores.memory", "MemoryStore"),
    ("parbake.stores.lmdb", "LmdbStore"),
    ("parbake.adapters.redis", "RedisItems"),
    ("parbake.adapters.dynamodb", "DynamoItems"),
    ("parbake.adapters.postgresql_store", "PostgresqlItems"),
    ("parbake.stores.steps.optimistic", "OptimisticStore"),
    ("parbake.adapters.sqlite", "SqliteSource"),
    ("parbake.adapters.sqlite", "emit"),
    ("parbake.adapters.sqlite", "prune"),
    ("parbake.adapters.postgresql", "PostgresqlSource"),
    ("parbake.adapters.postgresql", "emit"),
    ("parbake.adapters.postgresql", "prune"),
    ("parbake.adapters.kafka", "KafkaTopic"),
    ("parbake.adapters.local", "LocalExecutor"),
    ("parbake.adapters.ray", "RayExecutor"),
    ("parbake_llm.generators.anthropic", "AnthropicGenerator"),
    ("parbake_llm.generators.bedrock", "BedrockGenerator"),
    ("parbake_llm.generators.extractive", "Extractive"),
    ("parbake_llm.generators.llama", "LlamaGenerator"),
    ("parbake_llm.generators.openai", "OpenAIGenerator"),
    ("parbake_llm.generators.chain", "Chain"),
    ("parbake_llm.generators.chain", "chain"),
    ("parbake_llm.generators.chain", "Breakers"),
    ("parbake_llm.ports.limits", "Limits"),
    ("parbake_semantic.embedders.minilm", "MiniLm"),
    ("parbake.adapters.log", "LogSink"),
    ("parbake.adapters.webhook", "WebhookSink"),
]
CLI = """`APP` is `module:attribute`, such as `shop:app`, found from the current folder. It may be left out of every
command where `parbake.toml` [names the app](../howto/first-hour.md#settings-of-a-project). Every command has `--help`.
An error is one line on standard error and exit status 1. Status 2 means that the command line itself is wrong, 130
that the command was interrupted, and 143 that it was terminated before its work was done.
"""
HTTP = """What `parbake serve` and `parbake.http.HttpApp` answer. `GET /v1/openapi.json` has the same as an OpenAPI
3.1 document, with your own routes. `GET` routes answer `HEAD` too. Routes for `operators` ask for the operator token
once one is set; see [the guide](../howto/http.md#who-may-do-what). Each request may carry tickets in the header
`parbake-after`, and an id in `x-request-id` (128 letters, digits and `_.:=+/-` at most). Errors have that id, or one
that the server made, and so have answers that the log, a trace or the client knows by an id. The routes of costs and
answers are those of `Ledger`, the one of triggers that of `Planner`, and the one of prompts that of `Prompts`: an app
without that plugin answers 404.
"""
PROBLEMS = """An error is a problem document (RFC 9457) with `type`, `title`, `status`, `detail` and `field`. The
table also holds the errors that only code sees; they have a status in case one reaches a client.
"""
SETTINGS = """An app takes its settings as arguments of `pb.App`. The environment holds secrets, and what belongs to a
process rather than to an app.
"""
VARIABLE = r"(?:PARBAKE|OPENAI|ANTHROPIC|AWS|BEDROCK)_[A-Z0-9_]+"
VARIABLES = {
    "PARBAKE_APP": "The app of commands that are given none; it wins over `app` of `parbake.toml`.",
    "PARBAKE_RECALL_TOKEN": "The bearer token that it sends there; `PARBAKE_RECALL_TOKEN_FILE` may name a file of it.",
    "PARBAKE_PROXY_BYPASS": "`1` makes `parbake proxy` pass every request on, without its cache.",
    "PARBAKE_RECALL_WEBHOOK": "Where `parbake recall --webhook` posts each answer.",
    "PARBAKE_STORE": "The URL of the store that commands use in place of the app's, if the app was given a URL.",
    "PARBAKE_LOG_LEVEL": "The least level that commands log: `debug`, `info`, `warning` (default) or `error`.",
    "PARBAKE_LOG_FORMAT": "`text` (default), or `json` for one object a line with `time`, `level`, `logger` and "
    "`message`, and the ids of the request, the answer, the event and the trace that it is about, if there are any.",
    "PARBAKE_TOKEN": "The token of operators, at least 16 characters. Without it every program on the machine is one.",
    "PARBAKE_TOKEN_FILE": "A file that holds the token. Set this or `PARBAKE_TOKEN`.",
    "PARBAKE_KEYS_FILE": "The file with API keys, as hashes, which is secret; `parbake keys` changes it.",
    "PARBAKE_SESSION_SECRET": "What signs the sessions of browsers, at least 16 characters, the same for all servers "
    "of an app. By default it is in `session.key`, in the folder that systemd sets with `StateDirectory=`, or in "
    "`~/.local/state/parbake`; the first server makes it.",
    "PARBAKE_SESSION_SECRET_FILE": "The file that holds that secret, which is made if it is missing. "
    "Set this or `PARBAKE_SESSION_SECRET`.",
    "PARBAKE_ACTIONS_FILE": "The file to which each action of an operator is appended, as a line of JSON.",
    "PARBAKE_REDIS_PASSWORD": "The password of the Redis or Valkey server, if it is not in the store's URL.",
    "PARBAKE_POSTGRESQL_PASSWORD": "The password of the PostgreSQL server with the store, if it is neither in the "
    "store's URL nor in a variable or a file of libpq.",
    "PARBAKE_TASK_THREADS": "How many `def` tasks run at once in a process, for each level, and for each source "
    "among those that read sources: tasks without inputs are "
    "on level 0, tasks that read them on level 1, and so on. "
    "By default four more than the machine has cores, 32 at most.",
    "ANTHROPIC_API_KEY": "The key, for `AnthropicGenerator.from_environment`. "
    "`ANTHROPIC_API_KEY_FILE` names a file that holds it.",
    "ANTHROPIC_BASE_URL": "The address of the endpoint; by default Anthropic's.",
    "ANTHROPIC_MODEL": "The model's name; `claude-haiku-5-5` by default.",
    "AWS_ACCESS_KEY_ID": "The id of the access key, for `BedrockGenerator.from_environment`. For each of the three AWS "
    "keys, the same name with `_FILE` names a file that holds it.",
    "AWS_BEARER_TOKEN_BEDROCK": "A token for Bedrock. Without an access key, `boto3` uses it.",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "Set by containers on AWS. Without an access key, `boto3` uses it.",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "Set by containers on AWS. Without an access key, `boto3` uses it.",
    "AWS_DEFAULT_REGION": "The region, if `AWS_REGION` is not set.",
    "AWS_PROFILE": "A profile of AWS. Without an access key, `boto3` uses it.",
    "AWS_REGION": "The region of Bedrock, such as `eu-west-1`.",
    "AWS_ROLE_ARN": "A role of AWS. Without an access key, `boto3` uses it.",
    "AWS_SECRET_ACCESS_KEY": "The secret of the access key.",
    "AWS_SESSION_TOKEN": "The token of a temporary access key.",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "The token file of a role of AWS. Without an access key, `boto3` uses it.",
    "BEDROCK_BATCH_ROLE": "The role by which Bedrock reads and writes the files of a batch job.",
    "BEDROCK_BATCH_S3": "The folder in S3 for the files of batch jobs, such as `s3://bucket/folder`.",
    "BEDROCK_ENDPOINT_URL": "The address of the endpoint; by default Amazon's for the region.",
    "BEDROCK_MODEL": "The id of the model or of its inference profile at Bedrock.",
    "OPENAI_API_KEY": "The key of the endpoint, for `OpenAIGenerator.from_environment`.",
    "OPENAI_API_KEY_FILE": "A file that holds the key.",
    "OPENAI_BASE_URL": "The address of the endpoint; by default OpenAI's.",
    "OPENAI_CACHING": "What requests say about caching: `server` (default) nothing, `key` a `prompt_cache_key`, "
    "`explicit` also where prefixes end.",
    "OPENAI_MODEL": "The model's name at the endpoint.",
}
DEMO = {
    "RETAIL_HOME": "The folder of the shop, its ledger, and its store unless `STORE` is set; `data` by default.",
    "RETAIL_SEED": "What the generated shop is drawn from; 7 by default.",
    "RETAIL_SHOPPERS": "How many shoppers are generated; 10,000 by default.",
    "RETAIL_PRODUCTS": "How many products are generated; 2,000 by default.",
    "RETAIL_COMPLAINTS_STRANGERS": "How many unknown shoppers must complain of an answer to withdraw it; 3 by default.",
    "RETAIL_COMPLAINTS_ANSWERS": "How many answers complaints may withdraw within a day; 10 by default.",
    "STORE": "The URL of the store.",
    "LLM": "Who words replies: `extractive` (default), `llama`, `openai`, `anthropic` or `bedrock`, "
    "or several in the order in which they are tried, such as `anthropic -> llama`.",
    "BOOK": "The prices of replies: a file in the form of a [cost book](../howto/costs.md#costs), or `example` for the "
    "[prices that ship](../howto/assistant.md#what-a-reply-costs). Without it CPU time has an example's price, and "
    "tokens have none.",
    "ENCODER": "How questions are embedded: `int8` (default) or `float32`.",
    "ALERT_WEBHOOK": "The address that alerts are sent to.",
    "RETAIL_VOUCHES": "Who vouches for shoppers: `accounts` (default), `key` or `header:NAME`.",
    "RETAIL_BACKEND_KEY": "The key of the shop's backend, with `RETAIL_VOUCHES=key`; or `RETAIL_BACKEND_KEY_FILE`.",
    "RETAIL_PROXIES": "The addresses from which a header vouches, by spaces; `127.0.0.1 ::1` by default.",
    "RETAIL_SESSION_SECRET": "What signs sessions, or several by spaces, of which the last signs; or "
    "`RETAIL_SESSION_SECRET_FILE`. By default it is made once and kept in `sessions.key`.",
    "RETAIL_CLIENT_RATE": "Chats and writes a second of one address; 20 by default, 0 for no limit.",
    "RETAIL_MODEL_S": "Seconds for one request to a hosted model; 8 by default. Then the rules finish the reply.",
    "RETAIL_REPLY_S": "Seconds that a reply of the chat may take; 30 by default.",
    "RETAIL_SHOPPER_RATE": "Chats and writes a second of one shopper; 5 by default, 0 for no limit.",
}
GROUPS = [
    ("parbake.app.settings", "Batch"),
    ("parbake.app.settings", "Durability"),
    ("parbake.lanes.batch.throttle", "Throttle"),
    ("parbake.tasks.retention", "Retention"),
    ("parbake.tasks.gates", "Gates"),
]
PLUGINS = """What stands on top of the core is a plugin:
`pb.App(tasks, plugins=[Ledger("ledger.db"), Planner(), Prompts()])`.
Each is opened in its place in the list, so a plugin that others read stands before them.
"""
PLUGGED = [
    ("parbake_planner.books", "Ledger"),
    ("parbake_planner.plans", "Planner"),
    ("parbake_llm.prompts_plugin", "Prompts"),
    ("parbake.contrib.opentelemetry.telemetry", "OpenTelemetry"),
]
URLS = [
    "parbake.stores.memory", "parbake.stores.lmdb", "parbake.adapters.redis", "parbake.adapters.dynamodb",
    "parbake.adapters.postgresql_store", "parbake.adapters.kafka",
]  # fmt: skip
METRICS = """`GET /metrics` of a server, and `parbake worker APP --metrics-port PORT` on loopback, answer in the text
format of Prometheus. A histogram has `_bucket`, `_sum` and `_count`; all times are in seconds.
"""
PLUGIN_METRICS = """The console has the ages, runs and sources of its last look, which a server takes every 15 seconds
or more. The ledger has what all processes together have used since midnight (UTC). Every server of a store shows the
same, so take the greatest of them, such as `max by (task) (parbake_stale_share)`, and not the sum. A worker shows none.
"""
METRIC_NOTES = {
    "parbake_requests_total": "Requests that were turned away are not among them.",
    "parbake_misses_total": "The causes are those of [the page about causes](causes.md).",
    "parbake_workers": "A process that watches no worker does not show it.",
    "parbake_worker_silence_seconds": "A process that watches no worker does not show it.",
}
LABELS = {
    "task": "The name of the task.",
    "verdict": "`fresh`, `degraded`, `stale`, `missing` or `unknown`: see [the glossary](glossary.md).",
    "lane": "`batch`, `event` or `realtime`: where the value was computed.",
    "outcome": "How a computation ended; for leases `held`, `shared` or `unleased`; for the newest run `promoted`, "
    "`refused` (by a gate, or by another run) or `failed`; of a semantic cache `hit` or `miss`.",
    "cause": "Why the read fell back.",
    "route": "The path of the route, such as `/v1/serve/{task}`; `none` if no route was found.",
    "status": "`2xx`, `3xx`, `4xx` or `5xx`.",
    "model": "The name of the generator; empty for what needs none.",
    "kind": "What degrades the servers, as `/readyz?verbose` names it; of tokens `input`, `output`, `cached`, "
    "`written`, `written_hour` or `reasoning`.",
    "about": "The task, the source or the family that is concerned; else `store` or `worker`.",
    "role": "`server` or `worker`.",
    "version": "The version of parbake.",
    "python": "The version of Python.",
    "batch": "`on` while a batch run was under way, else `off`.",
    "source": "The name of the source, or of a topic's partition.",
    "family": "The part of the tag before the slash.",
}
CAUSE = """Why a value was not served, or was served with less than full confidence. `Served.cause` and the label
`cause` of `parbake_misses_total` hold the word in the first column; `Served.reason` and HTTP answers hold the
sentence. `…` stands for what the sentence is about. *Only old* means that no change has killed the value, so
`ServeStale` may serve it for a while. *In doubt* means that nobody can tell at the moment whether the value is right.
"""
CAUSES = {
    "never_computed": "The store has no record of this key.",
    "damaged": "The record is not as it was written. It is computed again.",
    "absent": "The task said that there is no value for this key; the sentence is the task's.",
    "off": "The task cannot run here: `App(off=...)` names it, with the reason.",
    "compute_failed": "The task's function raised; the sentence names the error.",
    "tag_changed": "A tag that fences the value was raised after the value was computed.",
    "without_store": "The store does not answer, so it was computed from the sources, or the contract refuses that.",
    "source_silent": "The source of a family was not polled to its end for longer than `silence_limit`.",
    "store_untrusted": "The store may have lost its last writes, and its outboxes are not replayed yet.",
    "below_floor": "The value is older than what a recovery or a sweep of the store vouches for.",
    "incarnation_lost": "The value was computed in a state of the store that was lost later.",
    "valid_until_passed": "The task said until when the value holds, and that time is over.",
    "generation_withdrawn": "Somebody rolled back the run that made it.",
    "input_withdrawn": "It was computed from a run that somebody rolled back.",
    "model_replaced": "It was computed with a model that is not the current one.",
    "quarantined": "Somebody complained of the task, and nobody has cleared it yet.",
    "before_clearing": "It was stored before the quarantine of its task was cleared.",
    "from_the_future": "It says that it was computed more than a minute from now: some clock is wrong.",
    "past_sla": "It is older than `freshness_sla`.",
    "confidence_too_low": "By the declared curve its confidence has fallen below the floor.",
    "confidence_fallen": "By the declared curve its confidence has fallen, and is still above the floor. It is served.",
    "refresh_pending": "A tag of strength `refresh` was raised, and the value is served until it is computed again.",
    "budget_exceeded": "A refine did not end within its budget, so that its base was served.",
    "input_missing": "Something that the task reads has no value that may be served.",
}
ALERTS = """An alert goes to the owner of each task that it concerns, by the sinks of `App(alerts=[...])`. Without a
sink it is a line of the log. [How to send them](../howto/sources.md#alerts). Each kind is sent once when the trouble
begins. The kind that ends it, if there is one, has the same `dedupe_key`. A process does not send the same alert again
within 15 minutes. Several servers may each send it, because a lost store cannot remember what was sent: let the
receiver merge alerts with equal `dedupe_key`. Each owner of a task that is affected gets an alert of its own, with a
key of its own.

The alerts of one trouble arrive in their order, also after the webhook was away. A process sends the end of what it has
reported itself. One that is restarted during a trouble does not: look at `/readyz?verbose`, which names what lasts,
before you leave an incident open. `store_damaged` and `store_outdated` have no kind that ends them; `store_lost` says
that a damaged store was replaced.
"""
ALERT_PAYLOAD = "A webhook gets one JSON object for each alert:\n"
ALERT_FIELDS = {
    "kind": "One of the kinds above.",
    "task": "The task that it concerns; empty if it concerns the store, a source or the workers.",
    "owner": "Who gets it: the `owner` of a contract.",
    "message": "One sentence for people. It holds no secret.",
    "at": "When it was sent, in epoch seconds.",
    "dedupe_key": "Equal for the same trouble and owner, from whichever process, and for the alert that ends it. It "
    "begins with a digest of the store's URL, so that apps with stores of their own are told apart.",
}
PLUGIN_ALERTS = [
    (
        "`complained`", "The first complaint about an answer; what it was made from is computed again.",
        "the process that took it", "", "Look at the answer and its sources: `GET /v1/answers/{answer_id}`.",
    ),
    (
        "`held_back`", "More than ten complaints about a task within an hour; further ones have no effect.",
        "the process that took it", "", "Find out whether somebody complains by program, or the task is wrong.",
    ),
    (
        "`reversed`", "A plan is taken back: the task is computed on request from now on.",
        "the worker", "", "Look at `parbake triggers`.",
    ),
    (
        "`cache_drift`", "A provider reads much more or less of a prompt from its cache than predicted.",
        "each process that asks it", "", "Look at `parbake prompt report`.",
    ),
    (
        "`cache_steady`", "The difference is small again.", "each process that asks it", "`cache_drift`", "Nothing.",
    ),
]  # fmt: skip
