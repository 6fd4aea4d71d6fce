"""Loopback stand-ins that speak the wire protocols of the services costtrace works with.

The demo and the tests drive the real client libraries against them: no key, no network, no bill. Each stand-in is a
module of its own, named after the service; importing this package loads none of them.
"""
