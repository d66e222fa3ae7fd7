"""The API's operations, a file for each noun."""

from hubapp.api import schemas

Error = schemas.Error
# What every operation may answer beside its own: unreadable parameters, too many calls, a query that took too long.
COMMON = {400: Error, 422: Error, 429: Error, 503: Error}
UNKNOWN = {404: Error, **COMMON}
