"""The ports of prompts: generators, prompts, and the batch interfaces of providers."""
