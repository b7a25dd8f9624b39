"""Tools of servers that speak the Model Context Protocol, from ``mcp_servers`` in settings.json.

The protocol is the official SDK's (the ``mcp`` extra); here is when servers start and end, and what their
tools are to the agent. https://modelcontextprotocol.io/specification
"""
