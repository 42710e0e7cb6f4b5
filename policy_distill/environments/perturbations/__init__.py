"""Conditions under which a policy is tried."""
