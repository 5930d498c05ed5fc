#!/usr/bin/env bash
# Runs once, when the database volume is empty: creates a login role and a schema for every service.
# A role cannot read the schema of another service, and PUBLIC has no rights at all.
set -euo pipefail

for role in trigger dispatcher scoring; do
    variable="${role^^}_DB_PASSWORD"
    : "${!variable:?no password for the role ${role}}"
done

psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set database="$POSTGRES_DB" << 'SQL'
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL

for role in trigger dispatcher scoring; do
    variable="${role^^}_DB_PASSWORD"
    # psql quotes the names and the password; read from the environment, it is not in the process list.
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set database="$POSTGRES_DB" --set role="$role" << SQL
\\getenv password ${variable}
CREATE ROLE :"role" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO :"role";
CREATE SCHEMA :"role" AUTHORIZATION :"role";
ALTER ROLE :"role" IN DATABASE :"database" SET search_path = :"role";
SQL
done
