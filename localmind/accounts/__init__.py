"""Who may do what: accounts, roles, spaces, sessions, API keys. Knows no web framework."""
