"""The body of a row: the whole entry, small enough that a typical row costs one write unit.

DynamoDB bills each begun kilobyte, twice where an index has the row as well, and a typical entry is 2.5 KB of JSON,
most of it words that every entry has. So the JSON is deflated (RFC 1951) with those words given beforehand, as a preset
dictionary, which leaves 250 to 500 bytes. The first byte says which dictionary; a dictionary never changes.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from costtrace.entry import Entry, decode_entry, encode_entry
from costtrace.errors import InvalidValue
from costtrace.jsontext import decode, encode

_RAW: Final = -15
"""Raw deflate, without zlib's header and checksum: DynamoDB keeps checksums of its own."""
_LEVEL: Final = 6
_MEMORY: Final = 8

_FIRST: Final = (
    # What is rare comes first: deflate finds what stands at the end more cheaply.
    "sms-checksms-pricesms-endcorrectionabandonedcancelledfailedundelivereddeliveredsendingqueuedreceived"
    "estimatedpartialunpricedusage_missinginvalid_usagenot_billed"
    '"cache_write_1h""cache_write_5m""input_audio""output_audio""input_image""reasoning""web_search"'
    '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}"cache_creation_input_tokens":0,'
    '"cache_read_input_tokens":0,"server_tool_use":null,"inference_geo":'
    '"anthropic""claude-""google_genai""gemini-""azure_openai""mistralai""embedding""embeddings"'
    '"details":{"send_id":"sms-send/","address_kind":"long_code","to_country":"US","from_country":"US","to_hash":"'
    '","from_hash":"","segments":1,"encoding":"GSM-7","smart_encoded":false,"num_media":0,"body_length":,"num_segments":1'
    ',"messaging_service_sid":"MG,"account_sid":"AC,"source":"callback""webhook""message_fetch""reconcile","error_code":'
    '"corrects":"sms/SM","revision":1,"price_raw":"-0.00","price_unit":"USD""raw_dlr_done_date""traceparent":"00-'
    '"provider":"twilio","model":"sms","sms_segments":1,"quoted_from":"twilio""kind":"sms-status","status":"sent",'
    '"kind":"sms-send","status":"queued","kind":"sms","status":"accepted",'
    '{"usage_metadata":{"input_tokens":0,"output_tokens":0,"total_tokens":0,"input_token_details":{"audio":0,'
    '"cache_read":0},"output_token_details":{"audio":0,"reasoning":0}},"token_usage":{"completion_tokens":0,'
    '"prompt_tokens":0,"total_tokens":0,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,'
    '"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":0}}}'
    '"finish_reason":"stop","model_name":"gpt-4o-mini-2024-07-18","model_provider":"openai","system_fingerprint":"fp_'
    '"price_context":{"service_tier":"default"}'
    '{"entry_id":"llm/","message_uuid":"019","kind":"llm","status":"completed","occurred_at":"2026-01-20T0'
    '","recorded_at":"2026-01-20T0","duration_us":1,"provider":"openai","model":"gpt-4o-2024-08-06","requested_model":'
    '"gpt-4o","source_id":"","cost":"0.00","estimate":null,"currency":"USD","estimate_currency":null,"standing":'
    '"calculated","replaces":null,"standing":"pending","replaces":"pending","standing":"settled","replaces":null,'
    '"context":{"user_id":"","thread_id":"","channel":"sms","direction":"outbound","role":"assistant","environment":'
    '"production","message_type":"chat","reply_to":"019","tags":{}},"usage":{"buckets":{"input":0,"cache_read":0,'
    '"output":0},"reasoning_tokens":0,"flags":[],"problem":null,"raw":{},"usage":null,"quote":null,'
    '"quote":{"status":"pending","amount":null,"quote":{"status":"exact","amount":"0.00","currency":"USD","low":null,'
    '"high":null,"computed":null,"lines":[{"bucket":"input","quantity":1,"rate":"2.5","per":1000000,"subtotal":"0.00'
    '","source":"input_mtok"},{"bucket":"cache_read","quantity":1,"rate":"1.25","per":1000000,"subtotal":"0.00","source"'
    ':"cache_read_mtok"},{"bucket":"output","quantity":1,"rate":"10","per":1000000,"subtotal":"0.00","source":'
    '"output_mtok"}],"reason":null,"assumptions":[],"basis":{"provider":"openai","model":"gpt-4o-mini","rule":'
    '"listed name","source":"genai-prices","version":"0.2.3","data_hash":"","url":'
    '"https://developers.openai.com/api/docs/pricing","effective_from":null,"effective_until":null,"checked_on":null,'
    '"adjustments":[],"context_used":{"service_tier":"default"},"context_ignored":{},"rates":{"input":"input_mtok",'
    '"cache_read":"cache_read_mtok","cache_write":"input_mtok","cache_write_5m":"input_mtok","input_image":"input_mtok",'
    '"input_video":"input_mtok","output":"output_mtok","web_search":"web_searches_kcount","file_search":'
    '"storage_searches_kcount"}}},"span":{"trace_id":"","span_id":"","sampled":true},"span":null,"error":null,'
    '"details":{"service_tier":"default"}}'
)
_DICTIONARIES: Final = {1: _FIRST.encode()}
_NEWEST: Final = max(_DICTIONARIES)


def body_of(entry: Entry) -> bytes:
    """The whole entry in few bytes."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _DICTIONARIES[_NEWEST])
    text: Any = encode(encode_entry(entry)).encode()
    return bytes([_NEWEST]) + deflate.compress(text) + deflate.flush()


def entry_of_body(body: bytes) -> Entry:
    """The entry that `body_of` wrote. Raises InvalidValue for what it did not, or for what a later version wrote."""
    words = _DICTIONARIES.get(body[0]) if body else None
    if words is None:
        raise InvalidValue("body", body[:1], "a row of this version of costtrace; a newer one may have written it")
    inflate = zlib.decompressobj(_RAW, words)
    try:
        text = inflate.decompress(body[1:]) + inflate.flush()
        return decode_entry(decode(text))
    except (zlib.error, KeyError, TypeError, ValueError) as error:
        raise InvalidValue("body", f"{len(body)} bytes", "a row as costtrace writes them") from error
