"""What commands print: tables, panels, files of comparisons."""
