"""A model at Amazon Bedrock, for its generator and its batch interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parbake_llm.generators._hosted.claude_rules import bedrock_rules
from parbake_llm.generators._hosted.clients.aws_clients import AwsAccount, AwsClients
from parbake_llm.generators._hosted.endpoint import Endpoint
from parbake_llm.writing.placement import CacheRules


class BedrockEndpoint(Endpoint[AwsClients]):
    """A model at Amazon Bedrock."""

    name = provider = "bedrock"

    def __init__(
        self,
        *,
        model: str,
        account: AwsAccount,
        endpoint_url: str | None = None,
        rules: CacheRules | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the settings, without connecting yet.

        Args:
            model: The id of the model or of its inference profile.
            account: The region and the keys: a :class:`parbake_llm.generators.bedrock.AwsAccount`.
            endpoint_url: The endpoint's URL; Amazon's own by default.
            rules: How the model caches prefixes; by default as
                :func:`parbake_llm.generators._hosted.claude_rules.bedrock_rules` says.
            options: Further fields of each request, such as ``additionalModelRequestFields``.

        Raises:
            ProviderError: The model or the address cannot be used.
            MissingDependency: The client is not installed.
        """
        client = AwsClients("a model at Bedrock", account, endpoint_url)
        super().__init__(client, model=model, rules=rules or bedrock_rules(model), options=options)
