"""What every subject is measured on: an in-process chat model answering like ChatOpenAI, alone and in a small chain."""

from collections.abc import Callable
from itertools import count
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

REQUESTED_MODEL = "gpt-4o"
SERVED_MODEL = "gpt-4o-2024-08-06"
_number_of_call = count()
ANSWER = "The parcel left Leipzig this morning and should reach you tomorrow before noon."


class InProcessChatModel(BaseChatModel):
    """A chat model without a network whose results have the shape ChatOpenAI 1.x hands to callbacks."""

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": REQUESTED_MODEL, "model_name": REQUESTED_MODEL, "stream": False}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return {**self._identifying_params, "_type": self._llm_type, "stop": stop, **kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:  # noqa: ARG002  (the base class's signature)
        return LangSmithParams(ls_provider="openai", ls_model_name=REQUESTED_MODEL, ls_model_type="chat")

    def _generate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002  (the base class's signature)
        stop: list[str] | None = None,  # noqa: ARG002  (the base class's signature)
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  (the base class's signature)
        **kwargs: Any,  # noqa: ARG002  (the base class's signature)
    ) -> ChatResult:
        step = next(_number_of_call) % 997  # no two calls in a row use the same, so that nobody prices from memory
        prompt, cached, completion, reasoning = 1000 + step, 400 + step // 2, 500 + step // 3, 300 + step // 4
        llm_output = {
            "token_usage": _token_usage(prompt, cached, completion, reasoning),
            "model_provider": "openai",
            "model_name": SERVED_MODEL,
            "system_fingerprint": "fp_5f20662549",
            "id": "chatcmpl-C1x2y3z4",
            "service_tier": "default",
        }
        message = AIMessage(
            content=ANSWER,
            additional_kwargs={"refusal": None},
            response_metadata={**llm_output, "finish_reason": "stop", "logprobs": None},
            usage_metadata={
                "input_tokens": prompt,
                "output_tokens": completion,
                "total_tokens": prompt + completion,
                "input_token_details": {"audio": 0, "cache_read": cached},
                "output_token_details": {"audio": 0, "reasoning": reasoning},
            },
        )
        generation = ChatGeneration(message=message, generation_info={"finish_reason": "stop", "logprobs": None})
        return ChatResult(generations=[generation], llm_output=llm_output)


def _token_usage(prompt: int, cached: int, completion: int, reasoning: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "audio_tokens": 0,
            "cached_tokens": cached,
            "image_tokens": None,
            "text_tokens": None,
        },
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "audio_tokens": 0,
            "reasoning_tokens": reasoning,
            "rejected_prediction_tokens": 0,
            "text_tokens": None,
        },
    }


def _model() -> tuple[Runnable[Any, Any], Any]:
    return InProcessChatModel(), "hello"


def _chain() -> tuple[Runnable[Any, Any], Any]:
    prompt = ChatPromptTemplate.from_messages([("system", "You answer for {shop}."), ("human", "{question}")])
    return prompt | InProcessChatModel() | StrOutputParser(), {"shop": "a book shop", "question": "hello"}


WORKLOADS: dict[str, Callable[[], tuple[Runnable[Any, Any], Any]]] = {"model": _model, "chain": _chain}
