"""Neo4j, shared by text and graph: one driver a process, and the schema that both stand on."""

from localmind.neo4j.driver import Neo4jDriver

__all__ = ["Neo4jDriver"]
