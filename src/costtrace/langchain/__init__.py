"""LangChain: the callback handler, and the ways to attach it."""

from costtrace.langchain.attach import install, message, uninstall
from costtrace.langchain.handler import CostCallbackHandler

__all__ = ["CostCallbackHandler", "install", "message", "uninstall"]
