"""Every error of Rootstock, in one tree: the remote's fault, a bad input, a user's wish that can't be met, our own bug.

Each class has a stable ``code`` which the API, the pages and the job log show. Standard library only: both wings
import it.
"""

from __future__ import annotations


class RootstockError(Exception):
    """Base of all: ``code`` is stable, the message says what happened, to what, and what to do."""

    code = "error"
    retry = False  # whether the same call may succeed later


# --- the remote's fault ---------------------------------------------------------------------------------------------
class RemoteError(RootstockError):
    """The Hub (or what stands in for it) answered wrongly or not at all."""

    code = "remote"
    retry = True


class RateLimited(RemoteError):
    """429, or our own budget is used up. ``wait`` is the number of seconds until the window resets."""

    code = "remote.rate_limited"

    def __init__(self, message: str, *, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class RemoteUnavailable(RemoteError):
    """5xx, connection refused or reset, time-out."""

    code = "remote.unavailable"


class RemoteGarbled(RemoteError):
    """The answer arrived but can't be read: truncated or invalid JSON, wrong content type, wrong status for a range."""

    code = "remote.garbled"


class CursorExpired(RemoteError):
    """The Hub no longer knows the cursor of a listing: the listing starts again and skims what is stored."""

    code = "remote.cursor_expired"


class RepoMissing(RemoteError):
    """No such repo, or it is private: the Hub gives one answer for both."""

    code = "remote.repo_missing"
    retry = False


class RepoGated(RemoteError):
    """The repo's files need an accepted agreement."""

    code = "remote.repo_gated"
    retry = False


class RepoDisabled(RemoteError):
    """The Hub has disabled the repo."""

    code = "remote.repo_disabled"
    retry = False


class HostRefused(RemoteError):
    """A redirect or page link leads to a host that is not on the allow-list; nothing was sent there."""

    code = "remote.host_refused"
    retry = False


# --- bad input ------------------------------------------------------------------------------------------------------
class BadInput(RootstockError):
    """A row, file, card or parameter that can't be read as what it claims to be."""

    code = "input"


class BadRow(BadInput):
    """One row of a listing can't be stored; the crawl records it and goes on."""

    code = "input.row"


class BadCard(BadInput):
    """A card's front matter is too large, not YAML, or uses what the safe loader refuses."""

    code = "input.card"


class BadWeights(BadInput):
    """A file of weights whose header lies, is broken or asks for more than is ever read."""

    code = "input.weights"


class NoSafeWeights(BadInput):
    """The weights are there as pickles alone, which are never opened."""

    code = "input.no_safe_weights"


class NoWeights(BadInput):
    """The repo or folder holds no weights."""

    code = "input.no_weights"


class BadRequest(BadInput):
    """A visitor's or an admin's parameters make no sense together."""

    code = "input.request"


class UnknownModel(BadInput):
    """No model of that id is stored."""

    code = "input.unknown_model"


class TooLarge(BadInput):
    """A neighbourhood, file or answer is over its cap."""

    code = "input.too_large"


# --- the text encoder -----------------------------------------------------------------------------------------------
class EncoderMissing(RootstockError):
    """No text encoder is installed, or the folder that was set has none: words and letters stand in for it."""

    code = "encoder.missing"


class EncoderRefused(BadInput):
    """The files of a text encoder are not what they should be: another hash, another kind of model, wrong shapes."""

    code = "encoder.refused"


# --- the work itself ------------------------------------------------------------------------------------------------
class LeaseLost(RootstockError):
    """Another worker holds the job now: whatever this one computed is rolled back."""

    code = "job.lease_lost"


class Interrupted(RootstockError):
    """A person asked for this job to pause or end, or the worker is to stop: the present step is given up."""

    code = "job.interrupted"
