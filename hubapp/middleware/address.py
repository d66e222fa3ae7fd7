"""Who is asking: the address that limits are counted by."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The visitor's address; of an IPv6 address its /64, which is what one visitor has.

    Behind ROOTSTOCK_PROXIES proxies it is that many places from the right in X-Forwarded-For: what stands further
    left was written by the visitor.
    """
    text = str(request.META.get("REMOTE_ADDR", ""))
    if settings.PROXIES:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if hops:
            text = hops[-min(settings.PROXIES, len(hops))]
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
