"""What a tenant may have and spend, and what it used."""
