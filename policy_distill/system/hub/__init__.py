"""Agents and students of the Hugging Face hub: only files on a list are fetched, each with its size known before."""
