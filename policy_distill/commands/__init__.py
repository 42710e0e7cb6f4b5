"""The subcommands of `policy-distill`, one file each; `table.py` lists them."""
