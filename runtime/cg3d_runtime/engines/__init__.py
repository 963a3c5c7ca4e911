"""Engines: what runs a network on this machine."""

from __future__ import annotations
