"""Starts Redis, PostgreSQL, etcd, MinIO, Neo4j and Milvus as local processes. The standard library alone: it runs before any set-up."""
