"""Every name that costtrace writes into a trace: attribute keys, operations, link types and presets, in one table.

The ``gen_ai`` names are OpenTelemetry's conventions for generative AI, which are still in development and have moved
between packages; so they stand here as text. No cost attribute is standard yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""No attributes."""

MESSAGE_UUID: Final = "costtrace.message_uuid"
COST_STATUS: Final = "costtrace.cost.status"
COST_USD: Final = "costtrace.cost.usd"
COST_NANO_USD: Final = "costtrace.cost.nano_usd"
COST_AMOUNT: Final = "costtrace.cost.amount"
COST_CURRENCY: Final = "costtrace.cost.currency"
ESTIMATE_USD: Final = "costtrace.estimate.usd"
ESTIMATE_AMOUNT: Final = "costtrace.estimate.amount"
ESTIMATE_CURRENCY: Final = "costtrace.estimate.currency"
PRICE_SOURCE: Final = "costtrace.price.source"
PRICE_VERSION: Final = "costtrace.price.version"
TOTAL_USD: Final = "costtrace.total.usd"
TOTAL_INCOMPLETE: Final = "costtrace.total.incomplete"
CANCELLED: Final = "costtrace.cancelled"
ABANDONED: Final = "costtrace.abandoned"
INTERRUPTED: Final = "costtrace.interrupted"
LINK_TYPE: Final = "costtrace.link.type"

ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_CHOICES: Final = "gen_ai.request.choice.count"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOTAL_TOKENS: Final = "gen_ai.usage.total_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
CACHE_WRITE_OLD: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
AUDIO_IN: Final = "gen_ai.usage.audio.input_tokens"
AUDIO_OUT: Final = "gen_ai.usage.audio.output_tokens"

USAGE_COST: Final = "gen_ai.usage.cost"
OPERATION_COST: Final = "operation.cost"
LLM_COST_TOTAL: Final = "llm.cost.total"
LLM_COST_PROMPT: Final = "llm.cost.prompt"
LLM_COST_COMPLETION: Final = "llm.cost.completion"

DRAFT_AMOUNT: Final = "gen_ai.usage.cost.amount"
DRAFT_CURRENCY: Final = "gen_ai.usage.cost.currency"
DRAFT_SOURCE: Final = "gen_ai.usage.cost.source"
POSTHOG_INPUT: Final = "$ai_input_cost_usd"
POSTHOG_OUTPUT: Final = "$ai_output_cost_usd"
POSTHOG_TOTAL: Final = "$ai_total_cost_usd"
MLFLOW_COST: Final = "mlflow.llm.cost"
LANGFUSE_COST: Final = "langfuse.observation.cost_details"
OPENINFERENCE_KIND: Final = "openinference.span.kind"

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        MESSAGE_UUID: "the message it belongs to; on every span, the key that joins what no viewer links",
        COST_STATUS: "how far the cost can be trusted: the status of the quote, or estimated, or unknown",
        COST_USD: "the exact cost in US dollars, as decimal text",
        COST_NANO_USD: "the cost rounded to 1e-9 US dollars, for filters that compare integers only",
        COST_AMOUNT: "the exact cost in another currency, as decimal text",
        COST_CURRENCY: "the currency of that cost, ISO 4217",
        ESTIMATE_USD: "what is expected to be owed, in US dollars, as decimal text; never part of a cost",
        ESTIMATE_AMOUNT: "what is expected to be owed, in another currency, as decimal text",
        ESTIMATE_CURRENCY: "the currency of that estimate, ISO 4217",
        PRICE_SOURCE: "name of the price list",
        PRICE_VERSION: "version of the price list",
        TOTAL_USD: "on a root: exact sum in US dollars of what was recorded below it by its end, as decimal text",
        TOTAL_INCOMPLETE: "on a root: how many things below it have no actual cost (yet), or none in US dollars",
        CANCELLED: "the application stopped listening",
        ABANDONED: "its end was never reported",
        INTERRUPTED: "a graph stopped here, to go on later",
        LINK_TYPE: "on a link: one of `LINK_TYPES`",
        ERROR_TYPE: "class and code of a failure, never its text",
        SERVER_ADDRESS: "host of the API that was called",
        SERVER_PORT: "its port, where the address names one",
        OPERATION: "one of `OPERATIONS`",
        PROVIDER: "who was asked, as the conventions name it",
        CONVERSATION: "the thread the application named",
        WORKFLOW_NAME: "name of the chain or graph",
        AGENT_NAME: "name of the agent",
        TOOL_NAME: "name of the tool",
        TOOL_CALL_ID: "the model's id of the tool call",
        REQUEST_MODEL: "the model that was asked",
        REQUEST_STREAM: "whether the answer was asked for as a stream",
        REQUEST_TEMPERATURE: "as asked for",
        REQUEST_TOP_P: "as asked for",
        REQUEST_MAX_TOKENS: "as asked for",
        REQUEST_SEED: "as asked for",
        REQUEST_CHOICES: "how many answers were asked for",
        RESPONSE_MODEL: "the model that answered",
        RESPONSE_ID: "the provider's id of the answer",
        FINISH_REASONS: "why each answer ended",
        INPUT_TOKENS: "all input tokens, cached and written ones included",
        OUTPUT_TOKENS: "all output tokens, reasoning included",
        TOTAL_TOKENS: "both together",
        CACHE_READ: "input tokens read from the provider's cache",
        CACHE_WRITE: "input tokens written to the provider's cache",
        CACHE_WRITE_OLD: "the same under the name that most viewers read today",
        REASONING: "output tokens of reasoning",
        AUDIO_IN: "input tokens of sound",
        AUDIO_OUT: "output tokens of sound",
        USAGE_COST: "the cost of a model call as a double, in US dollars",
        OPERATION_COST: "the cost of anything as a double, in US dollars",
        LLM_COST_TOTAL: "the cost of a model call as a double, in US dollars",
        LLM_COST_PROMPT: "its part for input tokens",
        LLM_COST_COMPLETION: "its part for output tokens",
        DRAFT_AMOUNT: "preset draft443: the cost as a double, in place of gen_ai.usage.cost",
        DRAFT_CURRENCY: "preset draft443: its currency, ISO 4217",
        DRAFT_SOURCE: "preset draft443: provider, where the provider named the amount; else local",
        POSTHOG_INPUT: "preset posthog: the part for input tokens",
        POSTHOG_OUTPUT: "preset posthog: the part for output tokens",
        POSTHOG_TOTAL: "preset posthog: the cost",
        MLFLOW_COST: "preset mlflow: the cost and its parts, as JSON",
        LANGFUSE_COST: "preset langfuse: the cost and its parts, as JSON",
        OPENINFERENCE_KIND: "preset openinference: LLM, EMBEDDING, CHAIN, AGENT, TOOL or RETRIEVER",
    }
)
"""Each attribute key with its meaning. Whatever is written is in here, or in the table of `costtrace.tracing.sms`."""

CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EMBEDDINGS: Final = "embeddings"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_AGENT: Final = "invoke_agent"
INVOKE_WORKFLOW: Final = "invoke_workflow"
RETRIEVAL: Final = "retrieval"
OPERATIONS: Final = frozenset(
    {CHAT, TEXT_COMPLETION, EMBEDDINGS, EXECUTE_TOOL, INVOKE_AGENT, INVOKE_WORKFLOW, RETRIEVAL}
)
"""What a span of a LangChain run does. The span is named by its operation and what it works with: ``chat gpt-4o``."""

GENERATED_BY: Final = "generated_by"
"""From a send to a model call that made its text."""
STATUS_OF: Final = "status_of"
"""From a status callback to the send."""
PRICE_OF: Final = "price_of"
"""From a final price to the send."""
RETRY_OF: Final = "retry_of"
"""From an attempt to the one before it, which failed."""
REPLY_TO: Final = "reply_to"
"""From a message to the one it answers; only in what `costtrace view` writes."""
CORRECTION_OF: Final = "correction_of"
"""From a correction to what it corrects; only in what `costtrace view` writes."""
LINK_TYPES: Final = frozenset({GENERATED_BY, STATUS_OF, PRICE_OF, RETRY_OF, REPLY_TO, CORRECTION_OF})

PRESETS: Final = ("draft443", "langfuse", "mlflow", "openinference", "posthog")
"""Further names for viewers that read names of their own. ``draft443`` is the proposal of semantic-conventions-genai
#443, and replaces `USAGE_COST`: one name cannot be both a number and a namespace."""
SPANS: Final = ("off", "leaf", "all")
"""Which runs are shown: none; calls, tools, agents and the roots they hang under; or inner chains and nodes as well."""
CALLBACK_SPANS: Final = ("link", "child")
"""How the span of a late callback hangs together with its send: a root that links to it, or a child that does."""
