"""One student of several tasks: a stream for each, one learner, and a proof for each and for all together."""
