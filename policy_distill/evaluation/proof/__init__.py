"""What returns prove: bets, verdicts, bounds and falls. Numbers alone; nothing here runs an episode."""
