#!/bin/sh
# Once, when the database is made: the product's role owns its database and is no superuser, so that row-level security holds it.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$CATALOG_PASSWORD" --username postgres --dbname postgres <<'SQL'
CREATE ROLE localmind LOGIN PASSWORD :'password';
CREATE DATABASE localmind OWNER localmind;
SQL
