"""The writer of format web: one page that holds the policy, and shows it at work."""
