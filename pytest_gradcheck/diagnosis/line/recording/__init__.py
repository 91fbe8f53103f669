"""Record what a run of the user's functions computes, statement by statement."""
