#!/bin/sh
# The role that owns our database: no superuser, so that row-level security binds it.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$DATABASE_PASSWORD" --username postgres <<'SQL'
CREATE ROLE tracker LOGIN PASSWORD :'password' NOSUPERUSER NOBYPASSRLS CREATEDB;
CREATE DATABASE tracker OWNER tracker;
SQL
