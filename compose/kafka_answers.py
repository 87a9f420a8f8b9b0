"""The image's health check: whether the Kafka that this container works with answers."""

import sys

from lockstream.bridge.client import admin_client, first_contact, servers_of
from lockstream.bridge.errors import LockstreamError
from lockstream.bridge.settings import read_tables

try:
    kafka = read_tables(None).get("kafka", {})
    first_contact(admin_client(kafka), servers_of(kafka))
except LockstreamError as error:
    sys.exit(str(error))
