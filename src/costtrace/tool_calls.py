"""How often the provider ran tools of its own: what it bills per call, beside the tokens.

A count comes from the provider's raw record where that has one, else from the blocks of the answer. The buckets count
what providers bill: one search, not one page opened; calls that failed and are not billed are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from costtrace.usage import FLAG_INCOMPLETE, FLAG_TOOL_FEES

_BLOCKS: Final = {
    "code_interpreter_call": "code_execution",
    "file_search_call": "file_search",
    "image_generation_call": "image_generation",
    "web_search_call": "web_search",
}
"""OpenAI's and xAI's output items."""
_NAMED_BLOCKS: Final = frozenset({"server_tool_call", "server_tool_call_chunk", "server_tool_use"})
"""Anthropic's blocks, and LangChain's own form of every provider's."""
_NAMED: Final = {
    "bash_code_execution": "code_execution",
    "code_execution": "code_execution",
    "code_interpreter": "code_execution",
    "file_search": "file_search",
    "image_generation": "image_generation",
    "text_editor_code_execution": "code_execution",
    "web_search": "web_search",
    "x_keyword_search": "x_search",
    "x_search": "x_search",
    "x_semantic_search": "x_search",
    "x_thread_fetch": "x_search",
    "x_user_search": "x_search",
}
FREE_TOOLS: Final = frozenset(
    {
        "mcp_list_tools",
        "remote_mcp",
        "tool_search",
        "tool_search_tool_bm25",
        "tool_search_tool_regex",
        "web_fetch",
    }
)
"""Tools of the provider that cost nothing beside their tokens."""
_ADVISOR: Final = "advisor"
_X_SEARCH: Final = frozenset(name for name, bucket in _NAMED.items() if bucket == "x_search")

_RAW: Final = {
    "num_search_queries": "web_search",  # Perplexity
    "num_sources_used": "search_sources",  # xAI's live search, billed by source
}
_RAW_BY_TOOL: Final = {
    "code_interpreter_calls": "code_execution",
    "document_search_calls": "file_search",
    "file_search_calls": "file_search",
    "web_search_calls": "web_search",
    "web_search_requests": "web_search",
    "x_search_calls": "x_search",
}
_RAW_TABLES: Final = ("server_tool_use", "server_side_tool_usage_details", "server_side_tool_usage")
"""Anthropic's and OpenRouter's table of counts, and xAI's."""


def tool_calls(
    content: object, raw: Mapping[str, Any], metadata: Mapping[str, Any], model: str | None
) -> tuple[dict[str, int], list[str]]:
    """Billed calls by bucket, and the usage flags for tools whose fee no count tells.

    `content` is the answer's list of blocks, or its text; `raw` the provider's record of usage; `metadata` LangChain's
    ``response_metadata``. What has an odd shape counts nothing.
    """
    counts: dict[str, int] = {}
    flags: list[str] = []
    if content and not isinstance(content, str) and isinstance(content, Iterable):
        _count_blocks([block for block in content if isinstance(block, Mapping)], counts, flags)
    if raw:
        _read_raw(raw, counts)
    grounding = metadata.get("grounding_metadata")
    if grounding and isinstance(grounding, Mapping):
        _count_grounding(grounding, model, counts, flags)
    return counts, flags


def _count_blocks(blocks: list[Mapping[str, Any]], counts: dict[str, int], flags: list[str]) -> None:
    failed = _failed_searches(blocks)
    for block in blocks:
        kind = block.get("type")
        if not isinstance(kind, str):
            continue
        if kind in _NAMED_BLOCKS:
            _count_named(block, failed, counts, flags)
        elif kind in _BLOCKS:
            if kind != "web_search_call" or _is_search(block.get("action")):
                _add(counts, _BLOCKS[kind], flags)
        elif kind == "custom_tool_call" and str(block.get("name")) in _X_SEARCH:
            _add(counts, "x_search", flags)


def _count_named(block: Mapping[str, Any], failed: set[str], counts: dict[str, int], flags: list[str]) -> None:
    name = block.get("name")
    if not isinstance(name, str) or name in FREE_TOOLS:
        return
    if name == _ADVISOR:  # another model's tokens, at that model's rates
        flags.append(FLAG_INCOMPLETE)
    elif name not in _NAMED:
        flags.append(FLAG_TOOL_FEES)
    elif name != "web_search" or (_is_search(block.get("args")) and str(block.get("id")) not in failed):
        _add(counts, _NAMED[name], flags)


def _is_search(action: object) -> bool:
    """OpenAI bills the action ``search``, not ``open_page`` and ``find_in_page``; answers of 2025 name no action."""
    return not isinstance(action, Mapping) or action.get("type", "search") == "search"


def _failed_searches(blocks: list[Mapping[str, Any]]) -> set[str]:
    """Ids of Anthropic's searches that ended in an error, which are not billed."""
    return {
        str(block.get("tool_use_id"))
        for block in blocks
        if block.get("type") == "web_search_tool_result" and isinstance(block.get("content"), Mapping)
    }


def _read_raw(raw: Mapping[str, Any], counts: dict[str, int]) -> None:
    """The provider's own counts take the place of those of the blocks."""
    for key, bucket in _RAW.items():
        if key in raw:
            _put(counts, bucket, raw[key])
    for key in _RAW_TABLES:
        table = raw.get(key)
        if table and isinstance(table, Mapping):
            found: dict[str, int] = {}
            for tool, count in table.items():
                if tool in _RAW_BY_TOOL and type(count) is int and count > 0:
                    found[_RAW_BY_TOOL[tool]] = found.get(_RAW_BY_TOOL[tool], 0) + count
            counts.update(found)


def _count_grounding(grounding: Mapping[str, Any], model: str | None, counts: dict[str, int], flags: list[str]) -> None:
    """Google bills every query that is not empty from Gemini 3 on, and before that the grounded prompt, once.

    https://ai.google.dev/gemini-api/docs/pricing
    """
    queries = grounding.get("web_search_queries")
    searched = len([query for query in queries if query]) if isinstance(queries, (list, tuple)) else 0
    if searched:
        counts["web_search"] = 1 if _bills_by_prompt(model) else searched
    if grounding.get("image_search_queries") or grounding.get("retrieval_queries") or _used_maps(grounding):
        flags.append(FLAG_TOOL_FEES)


def _bills_by_prompt(model: str | None) -> bool:
    return model is not None and model.rpartition("/")[2].startswith(("gemini-1", "gemini-2"))


def _used_maps(grounding: Mapping[str, Any]) -> bool:
    chunks = grounding.get("grounding_chunks")
    return isinstance(chunks, (list, tuple)) and any(
        isinstance(chunk, Mapping) and chunk.get("maps") for chunk in chunks
    )


def _add(counts: dict[str, int], bucket: str, flags: list[str]) -> None:
    counts[bucket] = counts.get(bucket, 0) + 1
    if bucket == "image_generation":  # billed by the image's tokens, which nothing reports
        flags.append(FLAG_TOOL_FEES)


def _put(counts: dict[str, int], bucket: str, count: object) -> None:
    if type(count) is int and count > 0:
        counts[bucket] = count
