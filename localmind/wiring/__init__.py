"""The one place where settings become objects. Every door, and every test, builds the product here."""

from __future__ import annotations

from localmind.wiring.data_dir import lock_data_dir
from localmind.wiring.product import LocalMind, build
from localmind.wiring.roles import Role, check, role_of

__all__ = ["LocalMind", "Role", "build", "check", "lock_data_dir", "role_of"]
