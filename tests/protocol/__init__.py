"""Raw bytes on the wire: what reaches an upstream, what the client is told, what is closed."""
